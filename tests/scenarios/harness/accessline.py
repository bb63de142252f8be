"""Access lines, read as the tools of others read them: by HAProxy's regular expressions, not by our own knowledge."""

import re
from dataclasses import dataclass, fields

__all__ = ["HttpLine", "TcpLine", "http_line", "tcp_line"]

_CLIENT = r"(?P<client>\S+):(?P<port>\d+) \[(?P<date>\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}\.\d{3})\] "
_ENDPOINT = r"(?P<frontend>\S+) (?P<backend>[^/\s]+(?:/[^\s]*)?)/(?P<server>[^/\s]+) "
_CONNECTIONS = (
    r"(?P<actconn>\d+)/(?P<feconn>\d+)/(?P<beconn>\d+)/(?P<srvconn>\d+)/(?P<retries>\+?\d+) (?P<srv_queue>\d+)/(?P<backend_queue>\d+)"
)

HTTP = re.compile(
    _CLIENT + _ENDPOINT
    + r"(?P<request_ms>-?\d+)/(?P<wait_ms>-?\d+)/(?P<connect_ms>-?\d+)/(?P<response_ms>-?\d+)/(?P<active_ms>\+?\d+) "
    r"(?P<status>-?\d+) (?P<bytes>\+?\d+) (?P<request_cookie>\S+) (?P<response_cookie>\S+) "
    r"(?P<code>[CSPLRIDUKcs-][RQCHDLT-][NIDVEOU-][NIUPRD-]) "
    + _CONNECTIONS + r'(?: \{[^}]*\}){0,2} "(?P<request>[^"]*)"'
)
TCP = re.compile(
    _CLIENT + _ENDPOINT
    + r"(?P<wait_ms>-?\d+)/(?P<connect_ms>-?\d+)/(?P<active_ms>\+?\d+) (?P<bytes>\+?\d+) (?P<code>[CSPLRIDUKcs-][RQCHDLT-]) "
    + _CONNECTIONS
)


@dataclass(frozen=True)
class TcpLine:
    client: str
    port: int
    date: str
    frontend: str
    backend: str
    server: str
    wait_ms: int
    connect_ms: int
    active_ms: int
    bytes: int
    code: str
    actconn: int
    feconn: int
    beconn: int
    srvconn: int
    retries: str                                 # with "+" before it: another endpoint was tried
    srv_queue: int
    backend_queue: int


@dataclass(frozen=True)
class HttpLine(TcpLine):
    request_ms: int
    response_ms: int
    status: int
    request_cookie: str
    response_cookie: str
    request: str


def http_line(text: str) -> HttpLine:
    """Raises AssertionError if it is none, from its first byte to its last."""
    found = HTTP.fullmatch(text)
    assert found, f"no line of HAProxy's HTTP format: {text}"
    return HttpLine(**{one.name: one.type(found[one.name]) if callable(one.type) else found[one.name] for one in fields(HttpLine)})


def tcp_line(text: str) -> TcpLine:
    found = TCP.fullmatch(text)
    assert found, f"no line of HAProxy's TCP format: {text}"
    return TcpLine(**{one.name: one.type(found[one.name]) if callable(one.type) else found[one.name] for one in fields(TcpLine)})
