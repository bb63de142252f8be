"""How the texts of some keys and variables are read: each answers the value, and raises ValueError with what to write instead."""

import re

from edged.settings import headers, logformat, units

__all__ = [
    "any_number", "cookie", "domain", "every_address", "listen_address", "log_format", "metrics_type", "name",
    "seconds", "syslog_target", "target", "tcp_address", "tls_version", "token",
]

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def seconds(text: str) -> int:
    return units.whole_number(text) * 1000


def any_number(text: str) -> int:
    """ROUTER_MAX_CONNECTIONS: what is no number means "no limit of its own" (openshift-routes.md 11.2)."""
    try:
        return units.whole_number(text)
    except ValueError:
        return 0


def syslog_target(text: str) -> str:
    """ROUTER_SYSLOG_ADDRESS: a socket's path, or host[:port]."""
    return f"syslog:{text}"


def log_format(text: str) -> str:
    if text in ("http", "json"):
        return text
    if "%" not in text:
        raise ValueError(f'"{text}" is none of http, json, and no text with variables such as %ci')
    return logformat.check(text)


def token(text: str) -> str:
    if not headers.HEADER_NAME.fullmatch(text):
        raise ValueError(f'"{text}" is no name of a header')
    return text


def name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:\-]{1,64}", text, re.ASCII):
        raise ValueError(f'"{text}" is no name: write 1 to 64 letters, digits and "_.:-"')
    return text


def listen_address(text: str) -> str:
    return str(units.address(text))


def tcp_address(text: str) -> str:
    where = units.address(text)
    if where.path or not where.port:
        raise ValueError(f'"{text}" has no port that could be asked: write "127.0.0.1:1936" or "[::]:1936"')
    return str(where)


def every_address(port: str) -> str:
    """STATS_PORT (openshift-routes.md 11.6)."""
    return f"0.0.0.0:{units.whole_number(port)}"


def cookie(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", text, re.ASCII):
        raise ValueError(f'"{text}" is no cookie name: write letters, digits, "_" and "-"')
    return text


def domain(text: str) -> str:
    if len(text) > 253 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text, re.ASCII) or re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f'"{text}" is no domain name in lower case')
    return text


def target(text: str) -> str:
    """Where access lines go; a syslog server gets its port."""
    scheme, _, rest = text.partition(":")
    if text in ("stderr", "off") or (scheme in ("file", "syslog") and rest.startswith("/")):
        return text
    if scheme == "syslog" and rest:
        host, _, port = rest.rpartition(":") if re.search(r"(^[^:]+|\]):[0-9]+$", rest) else (rest, "", "514")
        host = host.removeprefix("[").removesuffix("]")
        if re.fullmatch(r"[A-Za-z0-9_.:\-]+", host, re.ASCII) and 0 < int(port) < 65536:
            return f"syslog:[{host}]:{int(port)}" if ":" in host else f"syslog:{host}:{int(port)}"
    raise ValueError(f'"{text}" is no target: write "stderr", "file:/path", "syslog:host:port", "syslog:/dev/log" or "off"')


def metrics_type(text: str) -> str:
    """ROUTER_METRICS_TYPE: there is one type only, and it has the monitor path answered (openshift-routes.md 6.2, 11.6)."""
    if text != "haproxy":
        raise ValueError(f'"{text}" is no type of metrics: write "haproxy"')
    return "all"


def tls_version(text: str) -> str:
    """SSL_MIN_VERSION: SSLv3 is what old deployments wrote for "the oldest there is"."""
    return "TLSv1.0" if text == "SSLv3" else text
