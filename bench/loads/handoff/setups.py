"""How each daemon is set up for the hand-off load: what routers in front of a cluster have, where that bears on a reload."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ..certificates import Certificates
from ..setups import program
from ..site import HOST, THROUGH, Ports

__all__ = ["CHECKED", "SETUPS", "Behind", "Setup", "edged", "haproxy"]

CHECKED = f"checked.{HOST}"                      # where every byte is
CONNECTIONS = 8000
DRAIN_S = 25                                     # more than the slowest upload takes, and the longest life of a tunnel that must stay
GENERATIONS = 16                                 # that may drain at once; exchanges of some seconds outlive several reloads


@dataclass(frozen=True)
class Behind:
    """The ports of the backends: the mass's, and of those that check: HTTP, TCP, and TLS that is passed through."""

    mass: int
    http: int
    tcp: int
    through: int


@dataclass(frozen=True)
class Setup:
    """What is in force while it is loaded, for the table; the command that starts it."""

    told: str
    command: list[str]


def edged(folder: Path, ports: Ports, behind: Behind, certificates: Certificates, workers: int, hard_stop: str) -> Setup:
    (folder / "edged.toml").write_text(f"""
[run]
runtime_dir = "{folder}/run"
state_dir = "{folder}/state"
drain_timeout = "{DRAIN_S}s"
generations_most = {GENERATIONS}
[worker]
count = {workers}
max_connections = {CONNECTIONS}
[timeouts]
client = "60s"
server = "60s"
http_keep_alive = "60s"
[log]
target = "off"
[sources.files]
paths = ["routes.yaml"]
[[listener]]
name = "http"
address = "127.0.0.1:{ports.http}"
[[listener]]
name = "https"
address = "127.0.0.1:{ports.https}"
mode = "https"
[[listener]]
name = "hello"
address = "127.0.0.1:{ports.hello}"
mode = "https"
[[listener]]
name = "tcp"
address = "127.0.0.1:{ports.tcp}"
mode = "tcp"
route = "tcp"
[tls]
default_certificate = "{certificates.ecdsa}"
""")
    (folder / "routes.yaml").write_text(f"""routes:
- {{name: mass, host: {HOST}, tls: {{insecure: allow}}, to: ['127.0.0.1:{behind.mass}']}}
- {{name: checked, host: {CHECKED}, tls: {{insecure: allow}}, to: ['127.0.0.1:{behind.http}']}}
- {{name: through, host: {THROUGH}, tls: {{termination: passthrough}}, to: ['127.0.0.1:{behind.through}']}}
- {{name: tcp, to: ['127.0.0.1:{behind.tcp}']}}
""")
    told = f"drain_timeout {DRAIN_S}s, generations_most {GENERATIONS}"
    return Setup(told, [sys.executable, "-m", "edged", "run", "--config", str(folder / "edged.toml")])


def haproxy(folder: Path, ports: Ports, behind: Behind, certificates: Certificates, workers: int, hard_stop: str) -> Setup:
    """Master and worker; sockets come over from the old worker. Routers leave hard-stop-after away unless their operator sets it."""
    (folder / "haproxy.cfg").write_text(f"""
global
    nbthread {workers}
    maxconn {CONNECTIONS}
    stats socket {folder}/stats.sock mode 600 level admin expose-fd listeners
    {f"hard-stop-after {hard_stop}" if hard_stop else ""}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout tunnel 1h
frontend web
    bind 127.0.0.1:{ports.http} backlog 4096
    bind 127.0.0.1:{ports.https} ssl crt {certificates.ecdsa} alpn http/1.1 backlog 4096
    option forwardfor
    use_backend checked if {{ req.hdr(host) -i {CHECKED} }}
    default_backend mass
frontend hello
    mode tcp
    bind 127.0.0.1:{ports.hello} backlog 4096
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend through if {{ req.ssl_sni -i {THROUGH} }}
listen tcp
    mode tcp
    bind 127.0.0.1:{ports.tcp} backlog 4096
    server s 127.0.0.1:{behind.tcp}
backend mass
    server s 127.0.0.1:{behind.mass}
backend checked
    server s 127.0.0.1:{behind.http}
backend through
    mode tcp
    server s 127.0.0.1:{behind.through}
""")
    told = f"-W -S, expose-fd listeners, {f'hard-stop-after {hard_stop}' if hard_stop else 'no hard-stop-after'}"
    return Setup(told, [program("haproxy"), "-W", "-db", "-S", str(folder / "master.sock"), "-f", str(folder / "haproxy.cfg")])


SETUPS = {"edged": edged, "haproxy": haproxy}
