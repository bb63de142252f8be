"""What the demo serves, and what it tells whoever started it."""

import shutil
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["INSIDE", "SHOWN", "Place", "guide", "routes", "settings"]

SHOWN = ["localhost", *(f"{name}.localhost" for name in ("shop", "api", "live", "slow", "broken", "vault"))]      # by edged
INSIDE = ["vault.localhost", "raw.localhost"]                                                                    # by the backend itself


@dataclass(frozen=True)
class Place:
    """Where the demo is: its folder and the ports of the site."""

    folder: Path
    http_port: int
    https_port: int
    tcp_port: int

    @property
    def settings_file(self) -> Path:
        return self.folder / "edged.toml"

    @property
    def routes_file(self) -> Path:
        return self.folder / "routes.yaml"

    @property
    def certificate_file(self) -> Path:
        return self.folder / "site.pem"

    @property
    def authority_file(self) -> Path:
        return self.folder / "ca.pem"


def settings(place: Place) -> str:
    """The settings file."""
    return textwrap.dedent(f"""\
        [sources.files]
        paths = ["routes.yaml"]

        [[listener]]
        address = "127.0.0.1:{place.http_port}"
        mode = "http"

        [[listener]]
        address = "127.0.0.1:{place.https_port}"
        mode = "https"

        [[listener]]
        address = "127.0.0.1:{place.tcp_port}"
        mode = "tcp"
        route = "tcp-echo"

        [tls]
        default_certificate = "{place.certificate_file.name}"

        [run]
        runtime_dir = "run"
        state_dir = "state"
        drain_timeout = "2s"
        """)


def routes(ports: Mapping[str, int]) -> str:
    """The route file; `ports` are those of the backends by name."""
    at = {name: f'address: "127.0.0.1:{port}", name: {name}' for name, port in ports.items()}
    return textwrap.dedent(f"""\
        # Edit and save: what you change is in force at once.
        routes:
        - host: shop.localhost
          tls: {{insecure: allow}}
          balance: roundrobin
          to:
          - {{{at['shop-1']}, weight: 3}}
          - {{{at['shop-2']}, weight: 1}}
        - host: shop.localhost
          tls: {{insecure: allow}}
          path: /cart
          cookie: CART
          to:
          - {{{at['cart-1']}, cookie: one}}
          - {{{at['cart-2']}, cookie: two}}

        - host: api.localhost
          tls: {{insecure: allow}}
          to: [{{{at['api-v1']}}}]
        - host: api.localhost
          tls: {{insecure: allow}}
          path: /v2
          to: [{{{at['api-v2']}}}]

        - host: live.localhost
          tls: {{insecure: allow}}
          to: [{{{at['live-page']}}}]
        - host: live.localhost
          tls: {{insecure: allow}}
          path: /echo
          to: [{{{at['live-echo']}}}]

        - host: slow.localhost
          tls: {{insecure: allow}}
          to: [{{{at['slow-1']}}}]
        - host: slow.localhost
          tls: {{insecure: allow}}
          path: /silent
          timeouts: {{server: 1s}}
          to: [{{{at['silent-1']}}}]

        - host: broken.localhost
          tls: {{insecure: allow}}
          path: /refused
          to: [{{{at['refusing']}}}]
        - host: broken.localhost
          tls: {{insecure: allow}}
          path: /garbage
          to: [{{{at['garbage-1']}}}]
        - host: broken.localhost
          tls: {{insecure: allow}}
          path: /503
          to: [{{{at['failing-1']}}}]

        - host: "*"
          tls: {{insecure: allow}}
          to: [{{{at['welcome']}}}]

        # TLS ends at edged, and begins anew towards the backend.
        - host: vault.localhost
          tls: {{insecure: redirect}}
          to_tls: {{ca: ca.pem, name: vault.localhost}}
          to: [{{{at['vault-1']}}}]

        # edged looks at the name alone: the backend itself speaks TLS with the client.
        - host: raw.localhost
          tls: {{termination: passthrough}}
          to: [{{{at['vault-1']}}}]

        - name: tcp-echo
          to: [{{{at['tcp-echo']}}}]
        """)


def guide(place: Place) -> str:
    """Lines to paste, and what they should show."""
    url = f"http://127.0.0.1:{place.http_port}"
    secure = f"curl --cacert {place.authority_file} --connect-to ::127.0.0.1:{place.https_port}"
    edged = "edged" if shutil.which("edged") else sys.argv[0] if sys.argv[0].endswith("bin/edged") else f"{sys.executable} -m edged"
    hello = (
        r"GET /echo HTTP/1.1\r\nHost: live.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        r"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    connect = "import socket; s = socket.create_connection(('127.0.0.1', {}));"
    lines = [
        ("three answers of four from shop-1, one from shop-2 (weights)",
         f"curl -s -H 'Host: shop.localhost' '{url}/[1-4]' | grep answers"),
        ("a longer path is another route; its cookie keeps you at one endpoint",
         f"curl -s -b '' -H 'Host: shop.localhost' '{url}/cart/[1-3]' | grep answers"),
        ("api-v1, and what edged adds to the request", f"curl -H 'Host: api.localhost' {url}/v1/items"),
        ("api-v2, with a body", f"curl -H 'Host: api.localhost' --data-binary 'hello' {url}/v2/items"),
        ("any other host: welcome", f"curl {url}/"),
        ("the same over HTTPS, certified by the demo's own authority", f"{secure} https://api.localhost:{place.https_port}/v1/items"),
        ("TLS anew towards the backend, which must show the right certificate; without TLS, a redirect",
         f"{secure} https://vault.localhost:{place.https_port}/\ncurl -i -H 'Host: vault.localhost' {url}/"),
        ("TLS that edged passes on untouched", f"{secure} https://raw.localhost:{place.https_port}/"),
        ("a WebSocket message that comes back (or open the page: a browser takes *.localhost to this machine)",
         f"python3 -c \"{connect.format(place.http_port)} s.sendall(b'{hello}'); print(s.recv(999).decode()); "
         "s.sendall(b'\\x81\\x85\\0\\0\\0\\0hello'); print(s.recv(99)[2:])\"\n"
         f"http://live.localhost:{place.http_port}/"),
        ("TCP: the bytes come back",
         f"python3 -c \"{connect.format(place.tcp_port)} s.sendall(b'hello'); print(s.recv(99))\""),
        ("two seconds later: slow-1", f"curl -H 'Host: slow.localhost' {url}/"),
        ("504 after one second: its backend never answers", f"curl -i -H 'Host: slow.localhost' {url}/silent"),
        ("503: connection refused; 502: no HTTP; 503 of the backend's own",
         "\n".join(f"curl -i -H 'Host: broken.localhost' {url}/{word}" for word in ("refused", "garbage", "503"))),
        ("take shop-2 out while it runs, then try the first line again",
         f"sed -i 's/weight: 1/weight: 0/' {place.routes_file}"),
        ("who answers a URL, and why", f"{edged} explain --config {place.settings_file} http://shop.localhost/cart"),
        ("new processes in place of these, and nobody notices; what runs now",
         f"{edged} ctl --config {place.settings_file} reload\n{edged} ctl --config {place.settings_file} status"),
    ]
    told = "\n".join(f"  # {what}\n{textwrap.indent(line, '  ')}\n" for what, line in lines)
    return (
        f"edged serves the demo site at {url} (HTTP, WebSocket), "
        f"https://127.0.0.1:{place.https_port} and 127.0.0.1:{place.tcp_port} (TCP).\n"
        f"Its settings are {place.settings_file}\n"
        f"and its routes {place.routes_file}: edit and save, and they are in force.\n\n"
        f"{told}\nBelow: the access log. Ctrl-C stops all of it.\n"
    )
