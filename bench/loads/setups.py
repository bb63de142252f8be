"""How each proxy is set up at its best for one site."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from .certificates import Certificates
from .site import CONNECTIONS, HOST, INNER, RSA, THROUGH, Ports, Site

STREAM_MODULES = (Path("/usr/lib/nginx/modules/ngx_stream_module.so"), Path("/usr/lib64/nginx/modules/ngx_stream_module.so"))


class ProxyError(Exception):
    """A proxy is missing, or does not come up; what it said is in the message."""


Prepare = Callable[[Path, Site, Ports], list[str]]


def haproxy(folder: Path, site: Site, ports: Ports) -> list[str]:
    """One thread; routes by a prefix tree over host and path; idle server connections are shared; bodies are spliced, or read in
    larger pieces where they are to be encrypted."""
    (folder / "routes.map").write_text("".join(f"{site.host(i)}/ be_{i}\n" for i in range(site.routes)) + f"{RSA}/ be_0\n{INNER}/ inner\n")
    text = f"""
global
    nbthread 1
    no strict-limits
    maxconn {CONNECTIONS}
    maxpipes 1000
    tune.pipesize 1048576
    {"tune.bufsize 32768" if site.certificates else ""}
    tune.ssl.cachesize 100000
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-server-options ssl-min-ver TLSv1.2
defaults
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-request 10s
    timeout http-keep-alive 300s
    timeout tunnel 1h
    option splice-response
    maxconn {CONNECTIONS}
{haproxy_http(folder, "http", f"127.0.0.1:{ports.http}")}
listen tcp
    mode tcp
    bind 127.0.0.1:{ports.tcp} backlog 4096
    server s {site.tcp_address}
"""
    for i in range(site.routes):
        text += f"backend be_{i}\n    mode http\n    http-reuse always\n    balance roundrobin\n"
        text += "".join(f"    server s{k} {address}\n" for k, address in enumerate(site.addresses(i)))
    text += haproxy_tls(folder, site, ports, site.certificates) if site.certificates else ""
    (folder / "haproxy.cfg").write_text(text)
    return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


def haproxy_http(folder: Path, proto: str, bind: str) -> str:
    return f"""
frontend {proto}
    mode http
    bind {bind} backlog 4096
    option http-keep-alive
    option forwardfor
    http-request add-header X-Forwarded-Host %[req.hdr(host)]
    http-request add-header X-Forwarded-Port %[dst_port]
    http-request add-header X-Forwarded-Proto {proto}
    http-request add-header Forwarded for=%[src];host=%[req.hdr(host)];proto={proto}
    use_backend %[base,map_beg({folder}/routes.map)]
"""


def haproxy_tls(folder: Path, site: Site, ports: Ports, certificates: Certificates) -> str:
    """What is terminated and what is passed through have a port each: one that did both would terminate in a second hop."""
    (folder / "through.map").write_text(f"{THROUGH} through\n")
    bind = f"127.0.0.1:{ports.https} ssl crt {certificates.ecdsa} crt {certificates.rsa} alpn http/1.1"
    bind += f" crt {site.crowd}" if site.crowd else ""
    return haproxy_http(folder, "https", bind) + f"""
frontend hello
    mode tcp
    bind 127.0.0.1:{ports.hello} backlog 4096
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend %[req.ssl_sni,lower,map({folder}/through.map)]
backend through
    mode tcp
    server s {site.hello_address}
backend inner
    mode http
    http-reuse always
    server s {site.https_address} ssl verify required ca-file {certificates.authority} verifyhost {INNER} sni str({INNER})
"""


def nginx(folder: Path, site: Site, ports: Ports) -> list[str]:
    """One worker; routes by a hash over host; idle upstream connections are kept."""
    module = next((f"load_module {path};" for path in STREAM_MODULES if path.exists()), "")
    pools = "".join(
        f"upstream be_{i} {{ {''.join(f'server {a}; ' for a in site.addresses(i))} keepalive 64; keepalive_requests 100000000; }}\n"
        for i in range(site.routes)
    )
    names = "".join(f"{site.host(i)} be_{i};\n" for i in range(site.routes)) + f"{RSA} be_0;\n"
    http, stream = nginx_tls(site, ports, site.certificates) if site.certificates else ("", "")
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
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Forwarded "for=$remote_addr;host=$host;proto=$scheme";
    server {{
        listen 127.0.0.1:{ports.http} backlog=4096;
        location / {{ proxy_pass http://$pool; }}
    }}
    {http}
}}
stream {{
    tcp_nodelay on;
    proxy_buffer_size 128k;
    upstream tcp {{ server {site.tcp_address}; }}
    server {{ listen 127.0.0.1:{ports.tcp} backlog=4096; proxy_pass tcp; }}
    {stream}
}}
""")
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def nginx_tls(site: Site, ports: Ports, certificates: Certificates) -> tuple[str, str]:
    """What goes into http and into stream."""
    def server(name: str, certificate: Path, target: str, port: str) -> str:
        return f"""
    server {{
        listen {port};
        server_name {name};
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{ proxy_pass {target}; }}
    }}"""

    port = f"127.0.0.1:{ports.https} ssl"
    http = f"""
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {certificates.authority};
    proxy_ssl_name {INNER};
    proxy_ssl_server_name on;
    upstream inner {{ server {site.https_address}; keepalive 64; keepalive_requests 100000000; }}
"""
    http += server(HOST, certificates.ecdsa, "http://$pool", f"{port} default_server backlog=4096")
    http += server(RSA, certificates.rsa, "http://$pool", port) + server(INNER, certificates.ecdsa, "https://inner", port)
    return http, f"""
    map $ssl_preread_server_name $through {{ {THROUGH} through; }}
    upstream through {{ server {site.hello_address}; }}
    server {{ listen 127.0.0.1:{ports.hello} backlog=4096; ssl_preread on; proxy_pass $through; }}
"""


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
{edged_tls(site, ports, site.certificates) if site.certificates else ""}
""")
    text, tls = "routes:\n", "tls: {insecure: allow}, " if site.certificates else ""
    for i in range(site.routes):
        to = ", ".join(map(repr, site.addresses(i)))
        text += f"- {{name: r{i}, host: {site.host(i)}, path: /, {tls}balance: roundrobin, to: [{to}]}}\n"
    text += f"- {{name: tcp, to: ['{site.tcp_address}']}}\n"
    text += edged_tls_routes(site, site.certificates) if site.certificates else ""
    (folder / "routes.yaml").write_text(text)
    return [sys.executable, "-m", "edged", "run", "--config", str(folder / "edged.toml")]


def edged_tls(site: Site, ports: Ports, certificates: Certificates) -> str:
    """Every port terminates, and passes through, as the name in the hello wants it."""
    others = [str(path) for path in (certificates.rsa, site.crowd) if path]
    return f"""
[[listener]]
address = "127.0.0.1:{ports.https}"
mode = "https"
[[listener]]
address = "127.0.0.1:{ports.hello}"
mode = "https"
[tls]
default_certificate = "{certificates.ecdsa}"
certificates = {others}
"""


def edged_tls_routes(site: Site, certificates: Certificates) -> str:
    to = ", ".join(map(repr, site.addresses(0)))
    return f"""
- {{name: rsa, host: {RSA}, path: /, tls: {{termination: edge}}, balance: roundrobin, to: [{to}]}}
- {{name: through, host: {THROUGH}, tls: {{termination: passthrough}}, to: ['{site.hello_address}']}}
- name: inner
  host: {INNER}
  tls: {{termination: reencrypt}}
  to_tls: {{ca: {certificates.authority}, name: {INNER}}}
  to: ['{site.https_address}']
"""


PREPARE: dict[str, Prepare] = {"edged": edged, "haproxy": haproxy, "nginx": nginx}


def program(name: str) -> str:
    """Where a peer is installed; `HAPROXY=/path` or `NGINX=/path` name another one."""
    found = os.environ.get(name.upper()) or shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not found:
        raise ProxyError(f"{name} is not installed")
    return found
