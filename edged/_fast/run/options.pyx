"""What the settings say, as the engine keeps it. See options.pxd."""

from ipaddress import ip_network

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from edged._fast.parse.head cimport FIELDS_MOST
from edged._fast.route.reply cimport reply_install
from edged._fast.run.accesslog cimport LOG_HTTP, LOG_JSON, LOG_OFF
from edged._fast.talk.wants cimport (
    ACCEPT_PROXY_OFF, ACCEPT_PROXY_REQUIRED, ACCEPT_PROXY_TRUSTED_ONLY, MODE_HTTP, MODE_TCP, MONITOR_ALL, MONITOR_LOCAL, MONITOR_OFF,
    Network, REUSE_AGGRESSIVE, REUSE_ALWAYS, REUSE_NEVER, REUSE_SAFE,
)

cdef enum:
    POOLED_LEAST = 256           # idle channels to endpoints, at least; else half as many as clients may have: a quarter of the descriptors

_REUSE = {"never": REUSE_NEVER, "safe": REUSE_SAFE, "aggressive": REUSE_AGGRESSIVE, "always": REUSE_ALWAYS}
_FORMAT = {"off": LOG_OFF, "http": LOG_HTTP, "json": LOG_JSON}
_PROXY = {"off": ACCEPT_PROXY_OFF, "required": ACCEPT_PROXY_REQUIRED, "trusted-only": ACCEPT_PROXY_TRUSTED_ONLY}
_MODE = {"http": MODE_HTTP, "tcp": MODE_TCP}
_MONITOR = {"off": MONITOR_OFF, "local": MONITOR_LOCAL, "all": MONITOR_ALL}
_PAGES: list[bytes] = []         # error files: reply borrows them for ever


cdef int options_read(Core* core, config) except -1:
    times = config["timeouts"]
    core.s.times.client_ms = times["client_ms"]
    core.s.times.server_ms = times["server_ms"]
    core.s.times.connect_ms = times["connect_ms"]
    core.s.times.http_request_ms = times["http_request_ms"]
    core.s.times.http_keep_alive_ms = times["http_keep_alive_ms"]
    core.s.times.queue_ms = times["queue_ms"]
    core.s.times.tunnel_ms = times["tunnel_ms"]
    core.s.times.client_fin_ms = times["client_fin_ms"]
    core.s.times.server_fin_ms = times["server_fin_ms"]
    core.s.times.proxy_header_ms = times["proxy_header_ms"]
    core.s.times.tls_handshake_ms = times.get("tls_handshake_ms", 10_000)
    core.s.limits.head_bytes = config["max_header_bytes"]
    core.s.limits.target_bytes = config["max_target_bytes"]
    core.s.limits.fields = min(config["max_headers"], FIELDS_MOST)
    core.s.max_body_bytes = config["max_body_bytes"]
    core.s.reuse = _REUSE[config["http_reuse"]]
    core.s.abort_on_close = config["abort_on_close"]
    core.s.dont_log_null = config["dont_log_null"]
    core.s.ignore_probes = config.get("ignore_probes", False)
    core.log_format = _FORMAT[config["log_format"]]
    core.s.remember_lines = core.log_format != LOG_OFF
    core.max_connections = config["max_connections"]
    core.pool_most = config["pool_idle"]
    core.pooled_most = max(POOLED_LEAST, core.max_connections // 2)
    core.splice = config["splice"]
    for status, page in config["error_files"].items():
        _PAGES.append(page)
        reply_install(status, page, len(page))
    core.s.no_route_status = 404 in config["error_files"]
    return 0


cdef Listener* listener_make(number, fd, name, mode, accept_proxy, trusted, port, tls, monitor) except NULL:
    cdef bytes raw = name.encode()
    cdef Listener* listener
    networks = [ip_network(text, strict=False) for text in trusted]
    kind, proxy, monitored = _MODE[mode], _PROXY[accept_proxy], _MONITOR[monitor]
    listener = <Listener*>calloc(1, sizeof(Listener))
    if listener == NULL:
        raise MemoryError
    listener.name.at = <const char*>malloc(len(raw) + 1)
    listener.trusted = <Network*>calloc(len(networks) + 1, sizeof(Network))
    if listener.name.at == NULL or listener.trusted == NULL:
        listener_free(listener)
        raise MemoryError
    listener.number = number
    listener.fd = fd
    listener.port = port
    listener.mode = kind
    listener.accept_proxy = proxy
    listener.monitor = monitored
    memcpy(<void*>listener.name.at, <const char*>raw, len(raw))
    listener.name.n = len(raw)
    for network in networks:
        packed = network.network_address.packed
        listener.trusted[listener.n_trusted].family = network.version
        listener.trusted[listener.n_trusted].bits = network.prefixlen
        memcpy(listener.trusted[listener.n_trusted].at, <const char*>packed, len(packed))
        listener.n_trusted += 1
    if tls is not None:
        listener.tls = True
        listener.context = <void*><uintptr_t>tls["context"]
        listener.strict_sni = tls["strict_sni"]
        listener.client_auth = tls["client_auth"]
    return listener


cdef void listener_free(Listener* listener):
    free(listener.trusted)
    free(<void*>listener.name.at)
    free(listener)
