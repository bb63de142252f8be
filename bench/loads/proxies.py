"""How each proxy is set up at its best for one site, started, and asked whether it is ready."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .machine import Cores, CpuGroup, family

HOST = "bench.test"
START_S = 60.0
CONNECTIONS = 15_000
STREAM_MODULES = (Path("/usr/lib/nginx/modules/ngx_stream_module.so"), Path("/usr/lib64/nginx/modules/ngx_stream_module.so"))


class ProxyError(Exception):
    """A proxy is missing, or does not come up; what it said is in the message."""


@dataclass(frozen=True)
class Site:
    """What is served: so many routes (host and path each) with so many endpoints each, and one TCP service."""

    routes: int
    endpoints: int
    backend_http: int            # ports of the backend
    backend_tcp: int

    def host(self, route: int) -> str:
        return HOST if self.routes == 1 else f"h{route:05d}.{HOST}"

    def addresses(self, route: int) -> list[str]:
        """Every endpoint has an address of its own; one backend answers on all of 127.0.0.0/8."""
        first = route * self.endpoints + 1
        return [f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{self.backend_http}" for i in range(first, first + self.endpoints)]

    @property
    def tcp_address(self) -> str:
        return f"127.0.0.1:{self.backend_tcp}"


@dataclass(frozen=True)
class Ports:
    http: int
    tcp: int


Prepare = Callable[[Path, Site, Ports], list[str]]


def haproxy(folder: Path, site: Site, ports: Ports) -> list[str]:
    """One thread; routes by a prefix tree over host and path; idle server connections are shared; bodies are spliced."""
    (folder / "routes.map").write_text("".join(f"{site.host(i)}/ be_{i}\n" for i in range(site.routes)))
    text = f"""
global
    nbthread 1
    no strict-limits
    maxconn {CONNECTIONS}
    maxpipes 1000
    tune.pipesize 1048576
defaults
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-request 10s
    timeout http-keep-alive 300s
    timeout tunnel 1h
    option splice-response
    maxconn {CONNECTIONS}
frontend http
    mode http
    bind 127.0.0.1:{ports.http} backlog 4096
    option http-keep-alive
    option forwardfor
    http-request add-header X-Forwarded-Host %[req.hdr(host)]
    http-request add-header X-Forwarded-Port %[dst_port]
    http-request add-header X-Forwarded-Proto http
    http-request add-header Forwarded for=%[src];host=%[req.hdr(host)];proto=http
    use_backend %[base,map_beg({folder}/routes.map)]
listen tcp
    mode tcp
    bind 127.0.0.1:{ports.tcp} backlog 4096
    server s {site.tcp_address}
"""
    for i in range(site.routes):
        text += f"backend be_{i}\n    mode http\n    http-reuse always\n    balance roundrobin\n"
        text += "".join(f"    server s{k} {address}\n" for k, address in enumerate(site.addresses(i)))
    (folder / "haproxy.cfg").write_text(text)
    return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


def nginx(folder: Path, site: Site, ports: Ports) -> list[str]:
    """One worker; routes by a hash over host; idle upstream connections are kept."""
    module = next((f"load_module {path};" for path in STREAM_MODULES if path.exists()), "")
    pools = "".join(
        f"upstream be_{i} {{ {''.join(f'server {a}; ' for a in site.addresses(i))} keepalive 64; keepalive_requests 100000000; }}\n"
        for i in range(site.routes)
    )
    names = "".join(f"{site.host(i)} be_{i};\n" for i in range(site.routes))
    (folder / "nginx.conf").write_text(f"""
{module}
user root;
worker_processes 1;
worker_rlimit_nofile {2 * CONNECTIONS};
error_log {folder}/error.log;
pid {folder}/nginx.pid;
daemon off;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    map_hash_max_size 65536;
    map_hash_bucket_size 128;
    map $host $pool {{ default none; {names} }}
    upstream none {{ server 127.0.0.1:1; }}
    {pools}
    server {{
        listen 127.0.0.1:{ports.http} backlog=4096;
        location / {{
            proxy_pass http://$pool;
            proxy_http_version 1.1;
            proxy_max_temp_file_size 0;
            proxy_buffer_size 16k;
            proxy_buffers 8 128k;
            proxy_busy_buffers_size 256k;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Proto http;
            proxy_set_header Forwarded "for=$remote_addr;host=$host;proto=http";
        }}
    }}
}}
stream {{
    upstream tcp {{ server {site.tcp_address}; }}
    server {{ listen 127.0.0.1:{ports.tcp} backlog=4096; proxy_pass tcp; tcp_nodelay on; proxy_buffer_size 128k; }}
}}
""")
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def edged(folder: Path, site: Site, ports: Ports) -> list[str]:
    """One worker; all else as it is by default but the time for idle clients and, as for the peers, who may share idle connections."""
    (folder / "edged.toml").write_text(f"""
[run]
runtime_dir = "{folder}/run"
state_dir = "{folder}/state"
[worker]
count = 1
max_connections = {CONNECTIONS}
[timeouts]
client = "300s"
server = "300s"
http_keep_alive = "300s"
[log]
target = "off"
[defaults]
http_reuse = "always"
[sources.files]
paths = ["routes.yaml"]
[[listener]]
address = "127.0.0.1:{ports.http}"
mode = "http"
[[listener]]
address = "127.0.0.1:{ports.tcp}"
mode = "tcp"
route = "tcp"
""")
    text = "routes:\n"
    for i in range(site.routes):
        text += f"- {{name: r{i}, host: {site.host(i)}, path: /, balance: roundrobin, to: [{', '.join(map(repr, site.addresses(i)))}]}}\n"
    text += f"- {{name: tcp, to: ['{site.tcp_address}']}}\n"
    (folder / "routes.yaml").write_text(text)
    return [sys.executable, "-m", "edged", "run", "--config", str(folder / "edged.toml")]


PREPARE: dict[str, Prepare] = {"edged": edged, "haproxy": haproxy, "nginx": nginx}


def program(name: str) -> str:
    """Where a peer is installed; `HAPROXY=/path` or `NGINX=/path` name another one."""
    found = os.environ.get(name.upper()) or shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not found:
        raise ProxyError(f"{name} is not installed")
    return found


def version(kind: str) -> str:
    command = [sys.executable, "-m", "edged", "--version"] if kind == "edged" else [program(kind), "-v"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.~+-]*", said.stdout + said.stderr)
    return f"{kind} {found.group()}" if found else kind


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Running:
    """A proxy at work on one site. `kind` is its program, `label` its name in the table."""

    def __init__(self, label: str, folder: Path, site: Site, cores: Cores, group: CpuGroup | None) -> None:
        self.label = label
        self.kind = label.partition("@")[0]
        self.site = site
        self.ports = Ports(*free_ports(2))
        folder.mkdir(parents=True)
        self.log = folder / "output.log"
        command = PREPARE[self.kind](folder, site, self.ports)

        def settle() -> None:
            if group:
                group.procs.write_text("0")
            if cores.proxy is not None:
                os.sched_setaffinity(0, {cores.proxy})

        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=settle, start_new_session=True)
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self) -> None:
        end = time.monotonic() + START_S
        last = self.site.host(self.site.routes - 1)
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise ProxyError(f"{self.label} ended with status {self.process.returncode}: {self.log.read_text()[-2000:]}")
            if all(self.answers(host) for host in (self.site.host(0), last)):
                return
            time.sleep(0.05)
        raise ProxyError(f"{self.label} does not serve {last} after {START_S:.0f} s: {self.log.read_text()[-2000:]}")

    def answers(self, host: str) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports.http, timeout=2)
            connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException):
            return False
        return status == 200

    def pids(self) -> list[int]:
        return family(self.process.pid)

    def stop(self) -> None:
        """At once: nobody is served any more. What outlives its parent is ended by its session."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
