import pytest

from edged.model.listener import AcceptProxy, Mode
from edged.settings.load import read

WEB = '[[listener]]\naddress = "127.0.0.1:8080"\n'


@pytest.fixture
def under(tmp_path):
    """The settings of a file under some variables; every problem is a line."""

    def go(text="", **environ):
        path = tmp_path / "edged.toml"
        path.write_text(text)
        settings, problems = read(str(path), environ)
        return settings, [str(problem) for problem in problems]

    return go


@pytest.mark.parametrize(
    ("variable", "text", "where", "value"),
    [
        ("ROUTER_THREADS", "3", "worker.count", 3),
        ("ROUTER_MAX_CONNECTIONS", "70", "worker.max_connections", 70),
        ("ROUTER_MAX_CONNECTIONS", "auto", "worker.max_connections", 0),
        ("ROUTER_BUF_SIZE", "32768", "worker.buffer_bytes", 32768),
        ("ROUTER_MAX_REWRITE_SIZE", "8192", "worker.max_header_bytes", 8192),
        ("ROUTER_DEFAULT_CLIENT_TIMEOUT", "7s", "timeouts.client_ms", 7000),
        ("ROUTER_DEFAULT_SERVER_TIMEOUT", "7s", "timeouts.server_ms", 7000),
        ("ROUTER_DEFAULT_CONNECT_TIMEOUT", "7", "timeouts.connect_ms", 7),
        ("ROUTER_DEFAULT_TUNNEL_TIMEOUT", "2h", "timeouts.tunnel_ms", 7_200_000),
        ("ROUTER_SLOWLORIS_TIMEOUT", "7s", "timeouts.http_request_ms", 7000),
        ("ROUTER_SLOWLORIS_HTTP_KEEPALIVE", "7s", "timeouts.http_keep_alive_ms", 7000),
        ("ROUTER_CLIENT_FIN_TIMEOUT", "7s", "timeouts.client_fin_ms", 7000),
        ("ROUTER_DEFAULT_SERVER_FIN_TIMEOUT", "7s", "timeouts.server_fin_ms", 7000),
        ("ROUTER_INSPECT_DELAY", "7s", "timeouts.proxy_header_ms", 7000),
        ("ROUTER_SET_FORWARDED_HEADERS", "never", "defaults.forwarded", "never"),
        ("ROUTER_ABORT_ON_CLOSE", "true", "defaults.abort_on_close", True),
        ("ROUTER_HTTP_IGNORE_PROBES", "1", "defaults.ignore_probes", True),
        ("ROUTER_DONT_LOG_NULL", "T", "log.dont_log_null", True),
        ("ROUTER_LOG_LEVEL", "debug", "log.level", "debug"),
        ("ROUTER_LOG_FACILITY", "local7", "log.facility", "local7"),
        ("ROUTER_LOG_MAX_LENGTH", "4096", "log.max_length", 4096),
        ("ROUTER_SYSLOG_ADDRESS", "10.0.0.1", "log.target", "syslog:10.0.0.1:514"),
        ("ROUTER_SYSLOG_ADDRESS", "10.0.0.1:1514", "log.target", "syslog:10.0.0.1:1514"),
        ("ROUTER_SYSLOG_ADDRESS", "/dev/log", "log.target", "syslog:/dev/log"),
        ("ROUTER_GRACEFUL_SHUTDOWN_DELAY", "1m30s", "run.drain_delay_ms", 90_000),
        ("ROUTER_MAX_SHUTDOWN_TIMEOUT", "60", "run.drain_timeout_ms", 60_000),
        ("MAX_RELOAD_WAIT_TIME", "20", "run.drain_timeout_ms", 20_000),
        ("ROUTER_BIND_PORTS_AFTER_SYNC", "TRUE", "run.bind_after_sync", True),
        ("ROUTER_LOAD_BALANCE_ALGORITHM", "leastconn", "router.balance", "leastconn"),
        ("ROUTER_LOAD_BALANCE_ALGORITHM", "leastconn", "router.tcp_balance", "leastconn"),
        ("ROUTER_TCP_BALANCE_SCHEME", "roundrobin", "router.tcp_balance", "roundrobin"),
        ("ROUTER_COOKIE_NAME", "sticky", "router.cookie_name", "sticky"),
        ("ROUTER_DOMAIN", "apps.example.com", "router.domain", "apps.example.com"),
        ("ROUTER_SUBDOMAIN", "${name}.x", "router.subdomain", "${name}.x"),
        ("ROUTER_ALLOWED_DOMAINS", "a.example, b.example", "router.allowed_domains", ("a.example", "b.example")),
        ("ROUTER_DENIED_DOMAINS", "a.example", "router.denied_domains", ("a.example",)),
        ("ROUTER_ALLOW_WILDCARD_ROUTES", "true", "router.allow_wildcard_routes", True),
        ("ROUTER_DISABLE_NAMESPACE_OWNERSHIP_CHECK", "true", "router.disable_namespace_ownership_check", True),
        ("EXTENDED_VALIDATION", "false", "router.extended_validation", False),
        ("ROUTER_BACKEND_PROCESS_ENDPOINTS", "Shuffle", "router.shuffle_endpoints", True),
        ("ROUTER_WATCH_ENDPOINTS", "true", "router.watch_endpoints", True),
        ("ROUTER_CANONICAL_HOSTNAME", "router.example.com", "router.canonical_hostname", "router.example.com"),
    ],
)
def test_a_variable_stands_in_for_the_default(under, variable, text, where, value):
    more = {"ROUTER_BUF_SIZE": "16384"} if variable == "ROUTER_MAX_REWRITE_SIZE" else {}
    settings, problems = under(WEB, **{variable: text}, **more)
    assert problems == []
    assert settings.notes == ()
    table, key = where.split(".")
    assert getattr(getattr(settings, table), key) == value


def test_the_file_is_stronger(under):
    settings, _ = under(WEB + '[timeouts]\nclient = "9s"\n', ROUTER_DEFAULT_CLIENT_TIMEOUT="7s", ROUTER_DEFAULT_SERVER_TIMEOUT="7s")
    assert (settings.timeouts.client_ms, settings.timeouts.server_ms) == (9000, 7000)


def test_empty_is_unset(under):
    settings, problems = under(WEB, ROUTER_DEFAULT_CLIENT_TIMEOUT="", ROUTER_SERVICE_NAME="")
    assert (settings.timeouts.client_ms, problems, settings.notes) == (30_000, [], ())


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ROUTER_DEFAULT_CLIENT_TIMEOUT", "1h30m"), ("ROUTER_THREADS", "many"), ("ROUTER_THREADS", "-1"), ("ROUTER_LOG_LEVEL", "loud"),
        ("ROUTER_SET_FORWARDED_HEADERS", "Append"), ("ROUTER_LOAD_BALANCE_ALGORITHM", "RANDOM"), ("ROUTER_COOKIE_NAME", "a b"),
        ("ROUTER_GRACEFUL_SHUTDOWN_DELAY", "45"), ("ROUTER_SYSLOG_ADDRESS", "a b"), ("ROUTER_SERVICE_SNI_PORT", "x"),
    ],
)
def test_a_wrong_value_counts_as_absent_and_is_noted(under, variable, text):
    settings, problems = under(WEB, **{variable: text})
    assert problems == []
    assert len(settings.notes) == 1
    assert settings.notes[0].startswith(f"{variable}: ")
    plain, _ = under(WEB)
    assert settings.timeouts == plain.timeouts
    assert settings.worker == plain.worker
    assert settings.router == plain.router


def test_long_times_are_clipped_and_noted(under):
    settings, _ = under(WEB, ROUTER_DEFAULT_TUNNEL_TIMEOUT="25d")
    assert settings.timeouts.tunnel_ms == 2147483647
    assert settings.notes == ("ROUTER_DEFAULT_TUNNEL_TIMEOUT: 25d is clipped to 2147483647ms",)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"ROUTER_CANONICAL_HOSTNAME": "10.0.0.1"}, "environment: ROUTER_CANONICAL_HOSTNAME:"),
        ({"ROUTER_SERVICE_NAME": "public"}, "environment: ROUTER_SERVICE_NAME: it needs ROUTER_SERVICE_NAMESPACE"),
        ({"ROUTER_OVERRIDE_HOSTNAME": "true"}, "router.override_hostname: it needs a template"),
        ({"ROUTER_OVERRIDE_DOMAINS": "a.example"}, "router.override_domains: it needs a template"),
        ({"ROUTER_METRICS_TYPE": "prometheus"}, 'environment: ROUTER_METRICS_TYPE: "prometheus" is no type of metrics: write "haproxy"'),
    ],
)
def test_fatal_values(under, environ, problem):
    _, problems = under(WEB, **environ)
    assert len(problems) == 1
    assert problem in problems[0]


def test_ports_alone_make_the_public_listeners(under):
    settings, problems = under("", ROUTER_SERVICE_HTTP_PORT="8080", ROUTER_SERVICE_HTTPS_PORT="8443", ROUTER_USE_PROXY_PROTOCOL="true")
    assert problems == []
    http, https = settings.listeners
    assert (http.name, http.address, http.mode, http.accept_proxy) == ("public", "0.0.0.0:8080", Mode.HTTP, AcceptProxy.REQUIRED)
    assert (https.name, https.address, https.mode, https.accept_proxy) == ("public_ssl", "0.0.0.0:8443", Mode.HTTPS, AcceptProxy.REQUIRED)


def test_metrics_have_the_public_listeners_answer_the_monitor_path(under):
    more = '[[listener]]\naddress = "127.0.0.1:{}"\nmode = "tcp"\nroute = "x"\n'.format
    ports = {"ROUTER_SERVICE_HTTP_PORT": "80", "ROUTER_SERVICE_HTTPS_PORT": "443"}
    settings, problems = under("", ROUTER_METRICS_TYPE="haproxy", **ports)
    assert ([listener.monitor for listener in settings.listeners], problems, settings.notes) == (["all", "all"], [], ())
    settings, _ = under(WEB + 'monitor = "local"\n' + more(1) + WEB.replace("8080", "2"), ROUTER_METRICS_TYPE="haproxy")
    assert [listener.monitor for listener in settings.listeners] == ["local", "off", "all"]
    settings, _ = under("", **ports)
    assert [listener.monitor for listener in settings.listeners] == ["off", "off"]
    _, problems = under("", ROUTER_METRICS_TYPE="haproxy2", **ports)
    assert len(problems) == 1                    # though both listeners ask for it


@pytest.mark.parametrize(
    ("mode", "address", "v6only"),
    [("v4", "0.0.0.0:80", False), ("v6", "[::]:80", True), ("v4v6", "[::]:80", False), ("6", "0.0.0.0:80", False)],
)
def test_ip_modes(under, mode, address, v6only):
    settings, _ = under("", ROUTER_SERVICE_HTTP_PORT="80", ROUTER_IP_V4_V6_MODE=mode)
    assert (settings.listeners[0].address, settings.listeners[0].v6only) == (address, v6only)
    assert len(settings.notes) == (mode == "6")


def test_a_wrong_port_is_the_default(under):
    settings, problems = under("", ROUTER_SERVICE_HTTP_PORT="http")
    assert problems == []
    assert settings.listeners[0].address == "0.0.0.0:80"
    assert "ROUTER_SERVICE_HTTP_PORT" in settings.notes[0]


def test_listeners_of_the_file_stand_alone(under):
    settings, _ = under(WEB, ROUTER_SERVICE_HTTP_PORT="80")
    assert [listener.address for listener in settings.listeners] == ["127.0.0.1:8080"]


def test_proxy_protocol_is_for_the_public_listeners(under):
    settings, _ = under(WEB + '[[listener]]\naddress = "127.0.0.1:1"\nmode = "tcp"\nroute = "x"\n', ROUTER_USE_PROXY_PROTOCOL="true")
    assert [listener.accept_proxy for listener in settings.listeners] == [AcceptProxy.REQUIRED, AcceptProxy.OFF]


def test_syslog_by_variable_is_quiet_unless_told_otherwise(under):
    assert under(WEB, ROUTER_SYSLOG_ADDRESS="/dev/log")[0].log.level == "warning"
    assert under(WEB, ROUTER_SYSLOG_ADDRESS="/dev/log", ROUTER_LOG_LEVEL="info")[0].log.level == "info"
    assert under(WEB + '[log]\nlevel = "info"', ROUTER_SYSLOG_ADDRESS="/dev/log")[0].log.level == "info"
    assert under(WEB + '[log]\ntarget = "syslog:/dev/log"')[0].log.level == "info"
