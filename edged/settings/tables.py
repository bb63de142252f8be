"""Every key of the settings file, declared once, table by table. Times are milliseconds once they are read."""

from dataclasses import dataclass, field

from edged.ctl.frames import RUNTIME_DIR
from edged.settings import headers, logformat, subjects, texts, units
from edged.settings.keys import Choice, Env, Flag, Network, Permissions, Size, Text, Texts, Time, Whole, key
from edged.tls import profiles

KIB, MIB = 1024, 1024 * 1024


def _time(name: str) -> tuple[Env, ...]:
    return (Env(name, units.clipped_time_ms),)


def _truth(name: str) -> tuple[Env, ...]:
    return (Env(name, units.truth),)


def _text(name: str, *, fatal: bool = False) -> tuple[Env, ...]:
    return (Env(name, str, fatal=fatal),)


def _items(name: str) -> tuple[Env, ...]:
    return (Env(name, units.items),)


def _number(name: str) -> tuple[Env, ...]:
    return (Env(name, units.whole_number),)


def _captures(name: str) -> tuple[Env, ...]:
    return (Env(name, units.items, fatal=True),)


@dataclass(frozen=True, slots=True)
class ListenerTable:
    """An address to accept on. One [[listener]] each."""

    address: str = key(
        Text('"127.0.0.1:8080", "[::]:80", "unix:/path"; port 0 takes any free one', texts.listen_address), "",
        "Where to accept. Must be given.",
    )
    name: str = key(Text("letters, digits and _.:-", texts.name), "", "How logs call it. Default: the mode and port.")
    mode: str = key(Choice("http", "https", "tcp"), "http", "What is spoken there.")
    tls: bool = key(Flag(), False, "For mode tcp: TLS ends here, and what was inside of it is relayed. Mode https implies it.")
    route: str = key(
        Text('the name of a route, or "namespace/name"'), "",
        "Which route takes all connections; for mode tcp only, where it must be given.",
    )
    accept_proxy: str = key(
        Choice("off", "required", "trusted-only", also={True: "required", False: "off"}), "off",
        "PROXY protocol, v1 or v2, from clients. required: whoever does not send it, or is not trusted, is cut off; trusted-only: "
        "it is read from trusted addresses, others speak for themselves. The variable holds for modes http and https.",
        _truth("ROUTER_USE_PROXY_PROTOCOL"),
    )
    trusted: tuple[str, ...] = key(Network(), (), "From whom PROXY headers are believed. Empty: from everybody.")
    backlog: int = key(
        Whole(1, 65535), 4096,
        "Connections that may wait to be accepted, for each worker. The kernel's net.core.somaxconn caps it.",
    )
    defer_accept_ms: int = key(
        Time(0, 3_600_000), 0,
        "TCP_DEFER_ACCEPT: accept when the first bytes came, or after about this time, in whole seconds.",
    )
    keepalive: bool = key(Flag(), False, "SO_KEEPALIVE: let the kernel probe idle connections.")
    nodelay: bool = key(Flag(), True, "TCP_NODELAY: send small answers at once.")
    v6only: bool = key(Flag(), False, "IPV6_V6ONLY: [::] takes IPv6 alone.")
    freebind: bool = key(Flag(), False, "IP_FREEBIND: bind although no interface has the address yet (a virtual IP that may come).")
    permissions: int = key(Permissions(), 0o660, "Mode of a unix socket's file. Its group is that of [run].")
    monitor: str = key(
        Choice("off", "local", "all"), "off",
        "Answer GET and HEAD of /_______internal_router_healthz with 200, whatever the host, without a route and without an access line: "
        "for balancers and checks. local: only to clients on this node, by the connection's own address and not by what a PROXY header "
        "tells; all others are routed. The variable, which must be haproxy, means all, for modes http and https.",
        (Env("ROUTER_METRICS_TYPE", texts.metrics_type, fatal=True),),
    )
    client_auth: str = key(
        Choice("none", "optional", "required", also={"": ""}), "", "Certificates of clients, where TLS ends here. Empty: as [tls] says.",
    )
    client_ca: str = key(Text("a path"), "", "Likewise: who certifies clients here.")
    client_crl: str = key(Text("a path"), "", "Likewise: what they have revoked.")
    client_filter: str = key(Text("a regular expression", subjects.check), "", "Likewise: which subjects may come in.")


@dataclass(frozen=True, slots=True)
class WorkerTable:
    """The processes that carry traffic."""

    count: int = key(Whole(0, 64), 0, "How many. 0: one for each core.", _number("ROUTER_THREADS"))
    max_connections: int = key(
        Whole(0, 10_000_000), 50_000,
        "Client connections at once over all workers, shared equally; more wait unaccepted. 0: as many as descriptors allow.",
        (Env("ROUTER_MAX_CONNECTIONS", texts.any_number),),
    )
    buffer_bytes: int = key(
        Size(4 * KIB, MIB), 16 * KIB,
        "A block of memory for one direction of a connection.", _number("ROUTER_BUF_SIZE"),
    )
    rewrite_bytes: int = key(
        Size(0, 512 * KIB), KIB, "Room that is kept in a buffer for added headers: a head has at most buffer_bytes less this.",
        _number("ROUTER_MAX_REWRITE_SIZE"),
    )
    max_header_bytes: int = key(Size(0, MIB), 0, "Longest head of a request or answer. 0: buffer_bytes less rewrite_bytes.")
    max_target_bytes: int = key(Size(0, MIB), 0, "Longest request target. 0: as long as the head may be.")
    max_headers: int = key(Whole(1, 1000), 101, "Most header lines of a head.")
    splice: bool = key(Flag(), True, "Move large bodies inside the kernel.")
    pool_idle: int = key(Whole(0, 100_000), 1024, "Idle connections that each worker keeps to one endpoint.")
    nice: int = key(Whole(0, 19), 10, "Niceness of a worker's housekeeping thread. The engine's stays as it is.")


@dataclass(frozen=True, slots=True)
class TimeoutTable:
    """How long to wait. Routes may set some of these for themselves."""

    client_ms: int = key(Time(), 30_000, "A client that should send or take data does nothing.", _time("ROUTER_DEFAULT_CLIENT_TIMEOUT"))
    server_ms: int = key(
        Time(), 30_000,
        "An endpoint that should answer, send or take data does nothing.", _time("ROUTER_DEFAULT_SERVER_TIMEOUT"),
    )
    connect_ms: int = key(Time(), 5_000, "Connecting to an endpoint, each attempt.", _time("ROUTER_DEFAULT_CONNECT_TIMEOUT"))
    http_request_ms: int = key(Time(), 10_000, "From a request's first byte to the end of its head.", _time("ROUTER_SLOWLORIS_TIMEOUT"))
    http_keep_alive_ms: int = key(Time(), 300_000, "Between an answer and the next request.", _time("ROUTER_SLOWLORIS_HTTP_KEEPALIVE"))
    queue_ms: int = key(Time(), 5_000, "Waiting for an endpoint that has its fill.")
    tunnel_ms: int = key(Time(), 3_600_000, "Both sides of a tunnel (WebSocket, TCP) are silent.", _time("ROUTER_DEFAULT_TUNNEL_TIMEOUT"))
    client_fin_ms: int = key(Time(), 1_000, "A client, after one direction was closed.", _time("ROUTER_CLIENT_FIN_TIMEOUT"))
    server_fin_ms: int = key(Time(), 1_000, "An endpoint, after one direction was closed.", _time("ROUTER_DEFAULT_SERVER_FIN_TIMEOUT"))
    proxy_header_ms: int = key(
        Time(), 5_000, "From accept to the end of a PROXY header, or of a TLS ClientHello.", _time("ROUTER_INSPECT_DELAY")
    )
    tls_handshake_ms: int = key(Time(), 10_000, "A TLS handshake with a client, or with an endpoint, from its first to its last byte.")


@dataclass(frozen=True, slots=True)
class TlsTable:
    """TLS with clients and endpoints. Files of certificates and keys are PEM; they must be readable for the user of [run], and are read
    again when they change. One that is broken is refused, and the one before stays."""

    default_certificate: str = key(
        Text("a path"), "",
        "A file with certificates and key, shown to who names no host that has one of its own. The variable DEFAULT_CERTIFICATE may hold "
        "such a text itself, and is stronger than those in parentheses. Without any, one that nobody trusts is made.",
        _text("DEFAULT_CERTIFICATE_PATH"),
    )
    default_certificate_dir: str = key(
        Text("a path"), "", "Instead: a directory with tls.crt and, unless the key is in there, tls.key.", _text("DEFAULT_CERTIFICATE_DIR")
    )
    certificates: tuple[str, ...] = key(
        Texts('a list such as ["certs.d", "shop.pem"]'), (),
        "Directories and files of certificates for the names that they bear. Each file holds key, certificate and chain; beside it, the "
        "same name with .key may hold the key, .issuer the rest of the chain, .ocsp an OCSP answer to staple. For a name one certificate "
        "is shown, whatever its kind of key: of several the first in this order, in a directory by the names of files.",
    )
    key_passphrase_file: str = key(Text("a path"), "", "Its first line opens keys that are encrypted.")
    key_passphrase_env: str = key(Text("a variable's name"), "", "Instead: the environment's word that holds the passphrase.")
    ciphers: str = key(
        Text("modern, intermediate, old, or names as OpenSSL has them, parted by colons", profiles.check_ciphers), "intermediate",
        "For TLS 1.2 and older.", (Env("ROUTER_CIPHERS", profiles.known_ciphers, fatal=True),),
    )
    ciphersuites: str = key(
        Text('names parted by colons, such as "TLS_AES_256_GCM_SHA384"', profiles.check_suites), "",
        "For TLS 1.3. Empty: those that OpenSSL takes.", _text("ROUTER_CIPHERSUITES", fatal=True),
    )
    curves: str = key(
        Text('names parted by colons, such as "X25519MLKEM768:X25519"', profiles.check_groups), "",
        "Groups for the exchange of keys. Empty: those that OpenSSL takes.", _text("ROUTER_CURVES", fatal=True),
    )
    min_version: str = key(
        Choice(*profiles.VERSIONS), "TLSv1.2", "The oldest TLS.", (Env("SSL_MIN_VERSION", texts.tls_version, fatal=True),)
    )
    max_version: str = key(
        Choice(*profiles.VERSIONS, also={"": ""}), "", "The newest TLS. Empty: the newest there is.", _text("SSL_MAX_VERSION", fatal=True)
    )
    session_tickets: bool = key(Flag(), True, "Clients that come again may resume, with whichever worker.")
    ticket_rotation_ms: int = key(Time(60_000), 3_600_000, "How long one key seals tickets. It opens them as long again.")
    strict_sni: bool = key(
        Flag(), False, "Refuse clients that name a host for which there is no certificate. false: they are shown the default one.",
        _truth("ROUTER_STRICT_SNI"),
    )
    client_auth: str = key(
        Choice("none", "optional", "required"), "none", "Certificates of clients.", _text("ROUTER_MUTUAL_TLS_AUTH", fatal=True)
    )
    client_ca: str = key(
        Text("a path"), "",
        "Who certifies clients. Empty: the authorities of the system, or those in SSL_CERT_FILE and SSL_CERT_DIR.",
        _text("ROUTER_MUTUAL_TLS_AUTH_CA"),
    )
    client_crl: str = key(
        Text("a path"), "",
        "What those have revoked: CRLs, one of each authority up to the root, read again when the file changes. Whole ones: a delta or an "
        "indirect one is refused. As with HAProxy, nobody comes in whom no list judges, or one past its time. Empty: what the authorities "
        "in client_ca publish, if they name http URLs; until that is fetched, nobody comes in.", _text("ROUTER_MUTUAL_TLS_AUTH_CRL"),
    )
    client_filter: str = key(
        Text("a regular expression", subjects.check), "",
        "Which subjects may come in, others get 403: sought anywhere in one such as /CN=ann/O=example.",
        _text("ROUTER_MUTUAL_TLS_AUTH_FILTER", fatal=True),
    )
    destination_ca: str = key(
        Text("a path"), "",
        "Who certifies endpoints of reencrypt routes that bring no destinationCACertificate. Empty: the service CA of the cluster, if "
        "it is mounted where the platform puts it; else nobody is asked for.", _text("DEFAULT_DESTINATION_CA_PATH"),
    )
    default_pem: str = field(default="", repr=False)         # DEFAULT_CERTIFICATE: certificates and key themselves; no key of the file


@dataclass(frozen=True, slots=True)
class LogTable:
    """Access lines: one for each request or TCP connection. A target that is slow or gone loses lines, never traffic."""

    target: str = key(
        Text("stderr, file:/path, syslog:host:port, syslog:/dev/log, off", texts.target), "stderr",
        "Where they go. Files are opened anew at SIGUSR1.", (Env("ROUTER_SYSLOG_ADDRESS", texts.syslog_target),),
    )
    format: str = key(
        Text('http, json, or text such as "%ci %ST %{+Q}r"', texts.log_format), "http",
        "http: HAProxy's lines; json: one object a line; or a log-format text of HAProxy's for HTTP requests.",
        (Env("ROUTER_SYSLOG_FORMAT", logformat.haproxy_word, fatal=True),),
    )
    capture_request_headers: tuple[str, ...] = key(
        Texts('a list such as ["Host:64"]', logformat.capture), (),
        "Fields of requests that lines show, and how many bytes of each.", _captures("ROUTER_CAPTURE_HTTP_REQUEST_HEADERS"),
    )
    capture_response_headers: tuple[str, ...] = key(
        Texts('a list such as ["Location:128"]', logformat.capture), (),
        "The same for answers of endpoints.", _captures("ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS"),
    )
    capture_cookie: str = key(
        Text('a text such as "SESSION=:32"', logformat.cookie), "",
        "A cookie that lines show, as it was sent and as it was set. Without the =: the first whose name begins so.",
        _text("ROUTER_CAPTURE_HTTP_COOKIE", fatal=True),
    )
    level: str = key(
        Choice("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"), "info",
        "The least severe level that is sent. Access lines are info. If ROUTER_SYSLOG_ADDRESS chooses the target: warning.",
        _text("ROUTER_LOG_LEVEL"),
    )
    facility: str = key(
        Choice(
            "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert",
            "cron2", *(f"local{number}" for number in range(8)),
        ),
        "local1", "For syslog.", _text("ROUTER_LOG_FACILITY"),
    )
    tag: str = key(Text("letters, digits and _.:-", texts.name), "edged", "Name of the program, for syslog.")
    rfc: str = key(Choice("3164", "5424", also={3164: "3164", 5424: "5424"}), "3164", "Format of syslog messages.")
    max_length: int = key(Whole(80, 65_000), 1024, "Longest syslog message, in bytes; more is cut off.", _number("ROUTER_LOG_MAX_LENGTH"))
    dont_log_null: bool = key(Flag(), False, "No line for connections that send nothing.", _truth("ROUTER_DONT_LOG_NULL"))
    ring_bytes: int = key(Size(64 * KIB, 64 * MIB), MIB, "Lines that may wait in each worker, rounded up to a power of two.")


@dataclass(frozen=True, slots=True)
class RunTable:
    """The processes as such."""

    user: str = key(Text("a user's name"), "", "Who the workers and control run as, if started as root. Empty: root stays root.")
    group: str = key(Text("a group's name"), "", "Empty: the user's own group.")
    runtime_dir: str = key(Text("a path"), RUNTIME_DIR, "Sockets for operators.")
    state_dir: str = key(Text("a path"), "/var/lib/edged", "What is kept over restarts.")
    drain_delay_ms: int = key(
        Time(0), 0, "At SIGTERM: how long new connections are still taken, so that balancers in front notice.",
        (Env("ROUTER_GRACEFUL_SHUTDOWN_DELAY", units.go_duration_ms),),
    )
    drain_timeout_ms: int = key(
        Time(), 30_000, "At a reload, and at SIGTERM after that delay: how long exchanges may take to end before they are cut.",
        (Env("ROUTER_MAX_SHUTDOWN_TIMEOUT", texts.seconds), Env("MAX_RELOAD_WAIT_TIME", texts.seconds)),
    )
    tunnel_drain_timeout_ms: int = key(
        Time(0), 0,
        "Likewise for tunnels, shorter or longer: connections of mode tcp and of passthrough routes, and those that were upgraded, such as "
        "WebSockets. 0: as drain_timeout. At a reload, those that move to the new workers have no such limit.",
    )
    generations_most: int = key(
        Whole(1, 16), 4,
        "How many generations that a reload has replaced may drain at once. Where there are more, the oldest one is cut.",
    )
    bind_after_sync: bool = key(
        Flag(), False, "true: connections are refused until the first routes are in. false: they wait.",
        _truth("ROUTER_BIND_PORTS_AFTER_SYNC"),
    )
    core_dumps: bool = key(Flag(), False, "Let workers and control be dumped and traced. They hold private keys.")
    pid_file: str = key(Text("a path"), "", "For managers that want one. It is there while all serve. Empty: none is written.")

    @property
    def drain_tunnels_ms(self) -> int:
        """How long tunnels have in a drain."""
        return self.tunnel_drain_timeout_ms or self.drain_timeout_ms

    @property
    def drain_most_ms(self) -> int:
        """When a drain is over, whatever is still open."""
        return max(self.drain_timeout_ms, self.drain_tunnels_ms)


@dataclass(frozen=True, slots=True)
class AdminTable:
    """What balancers, probes and keepalived ask: /livez, /readyz and /startupz; /healthz and /healthz/ready, as of OpenShift's router."""

    address: str = key(
        Text('"127.0.0.1:1936", "[::]:1936"', texts.tcp_address), "",
        "Where they are answered by HTTP, beside the unix socket health.sock in [run] runtime_dir. Empty: only there.",
        (Env("ROUTER_LISTEN_ADDR", texts.tcp_address, fatal=True), Env("STATS_PORT", texts.every_address, fatal=True)),
    )
    socket_group: str = key(
        Text("a group's name"), "",
        "Who may ask health.sock, beside the daemon's user: such as keepalived_script. Empty: the daemon's group.",
    )
    ready_needs_route: bool = key(Flag(), False, "Not ready while there is no route at all.")


@dataclass(frozen=True, slots=True)
class ErrorFileTable:
    """Files that replace answers of our own: whole raw HTTP responses, sent as they are."""

    status_503: str = key(Text("a path"), "", "No route, or no endpoint that is up.", _text("ROUTER_ERRORFILE_503"), name="503")
    status_404: str = key(
        Text("a path"), "",
        "If given, this answers where no route matches, instead of 503.", _text("ROUTER_ERRORFILE_404"), name="404",
    )


@dataclass(frozen=True, slots=True)
class DefaultTable:
    """What holds for routes that do not say otherwise."""

    balance: str = key(
        Choice("roundrobin", "static-rr", "leastconn", "source", "random", "first"), "roundrobin",
        "Choice among endpoints, short form.",
    )
    retries: int = key(Whole(0, 100), 3, "Attempts to connect after the first.")
    redispatch: int = key(Whole(-1, 100), -1, "Try another endpoint: -1 on the last retry, n on each n-th, 0 never.")
    forwarded: str = key(
        Choice("append", "replace", "if-none", "never"), "append",
        "X-Forwarded-* and Forwarded headers. replace and if-none let no X_Forwarded_* through, which some endpoints read alike.",
        _text("ROUTER_SET_FORWARDED_HEADERS"),
    )
    request_headers: tuple[str, ...] = key(
        Texts('a list such as ["set X-Edge: one", "delete X-Debug"]', headers.shape("request")), (),
        "Actions on the headers of every request, in order, before those of its route. In a value, %% is one percent sign, and "
        "%[req.hdr(NAME)] the last value of that header.",
        (Env("ROUTER_HTTP_REQUEST_HEADERS", headers.of_variable, fatal=True),),
    )
    response_headers: tuple[str, ...] = key(
        Texts('a list such as ["set X-Frame-Options: DENY", "delete Server"]', headers.shape("response")), (),
        "Actions on the headers of every answer of an endpoint, after those of its route. Likewise, with %[res.hdr(NAME)].",
        (Env("ROUTER_HTTP_RESPONSE_HEADERS", headers.of_variable, fatal=True),),
    )
    unique_id_format: str = key(
        Text("a log-format text of HAProxy's", logformat.check), "",
        'An id for every request, for logs (%ID) and unique_id_header. Such as "%{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid"; at most 128 bytes.',
        (Env("ROUTER_UNIQUE_ID_FORMAT", logformat.haproxy_word, fatal=True),),
    )
    unique_id_header: str = key(
        Text("a name of a header", texts.token), "",
        "The header that tells endpoints that id, in the place of what the client sent.", _text("ROUTER_UNIQUE_ID_HEADER_NAME", fatal=True),
    )
    h1_case_adjust: tuple[str, ...] = key(
        Texts('a list such as ["Content-Length", "SOAPAction"]', texts.token), (),
        "Names of headers that are spelled so in every answer, and in requests of routes that ask for it.",
        (Env("ROUTER_H1_CASE_ADJUST", units.items, fatal=True),),
    )
    strip_client_certificate: bool = key(
        Flag(), True,
        "Take X-SSL, X-SSL-Client-DN and their like away from requests, X_SSL_Client_DN too: clients must not make them up.",
        _truth("ROUTER_MUTUAL_TLS_HEADER_FILTER"),
    )
    http_reuse: str = key(Choice("never", "safe", "aggressive", "always"), "safe", "Who may use an endpoint's idle connections.")
    abort_on_close: bool = key(Flag(), False, "Drop queued requests whose client left.", _truth("ROUTER_ABORT_ON_CLOSE"))
    ignore_probes: bool = key(Flag(), False, "No 400 or 408 for connections that send nothing.", _truth("ROUTER_HTTP_IGNORE_PROBES"))
    max_body_bytes: int = key(Size(0, 1 << 40), 0, "Largest request body; more is refused with 413. 0: no limit.")


@dataclass(frozen=True, slots=True)
class RouterTable:
    """For Route objects of a cluster: names, admission, and their defaults."""

    name: str = key(
        Text("a name", texts.name), "public", "Of this router, in the status of routes.", _text("ROUTER_SERVICE_NAME", fatal=True)
    )
    namespace: str = key(Text("a name", texts.name), "", "Where it runs.", _text("ROUTER_SERVICE_NAMESPACE", fatal=True))
    canonical_hostname: str = key(
        Text("a domain name", texts.domain), "",
        "Published in the status of routes.", _text("ROUTER_CANONICAL_HOSTNAME", fatal=True),
    )
    domain: str = key(Text("a domain name", texts.domain), "", "Completes the subdomain of routes without a host.", _text("ROUTER_DOMAIN"))
    subdomain: str = key(Text('such as "${name}-${namespace}.apps.example.com"'), "", "Template for hosts.", _text("ROUTER_SUBDOMAIN"))
    override_hostname: bool = key(Flag(), False, "The template replaces every host.", _truth("ROUTER_OVERRIDE_HOSTNAME"))
    override_domains: tuple[str, ...] = key(Texts(), (), "The template replaces hosts in these domains.", _items("ROUTER_OVERRIDE_DOMAINS"))
    allowed_domains: tuple[str, ...] = key(Texts(), (), "Only hosts in these are admitted. Empty: all.", _items("ROUTER_ALLOWED_DOMAINS"))
    denied_domains: tuple[str, ...] = key(Texts(), (), "Hosts in these are refused.", _items("ROUTER_DENIED_DOMAINS"))
    allow_wildcard_routes: bool = key(Flag(), False, "Admit wildcardPolicy Subdomain.", _truth("ROUTER_ALLOW_WILDCARD_ROUTES"))
    disable_namespace_ownership_check: bool = key(
        Flag(), False, "Routes of several namespaces may share a host with different paths.",
        _truth("ROUTER_DISABLE_NAMESPACE_OWNERSHIP_CHECK"),
    )
    extended_validation: bool = key(Flag(), True, "Check the certificates of routes before they are served.", _truth("EXTENDED_VALIDATION"))
    balance: str = key(
        Choice("roundrobin", "leastconn", "source", "random"), "random", "Choice among endpoints.", _text("ROUTER_LOAD_BALANCE_ALGORITHM")
    )
    tcp_balance: str = key(
        Choice("roundrobin", "leastconn", "source", "random"), "source", "Choice among endpoints of passthrough routes.",
        (*_text("ROUTER_TCP_BALANCE_SCHEME"), *_text("ROUTER_LOAD_BALANCE_ALGORITHM")),
    )
    cookie_name: str = key(
        Text("letters, digits, _ and -", texts.cookie), "",
        "Sticky cookie. Empty: one for each route.", _text("ROUTER_COOKIE_NAME"),
    )
    watch_endpoints: bool = key(Flag(), False, "Read Endpoints instead of EndpointSlices.", _truth("ROUTER_WATCH_ENDPOINTS"))
    shuffle_endpoints: bool = key(
        Flag(), False, "Put endpoints in random order, so that replicas do not all prefer the first.",
        (Env("ROUTER_BACKEND_PROCESS_ENDPOINTS", lambda text: text.lower() == "shuffle"),),
    )


TABLES: dict[str, type] = {                      # as in the file, and in this order
    "worker": WorkerTable, "timeouts": TimeoutTable, "tls": TlsTable, "log": LogTable, "run": RunTable, "admin": AdminTable,
    "defaults": DefaultTable,
    "defaults.error_files": ErrorFileTable, "router": RouterTable,
}
