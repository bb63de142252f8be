"""HAProxy as the router configures it: the reference for what certificates are shown and where requests go, so that a scenario's
own expectations are tested too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.harness.authority import Certified
from tests.scenarios.harness.client import Address
from tests.scenarios.harness.doors import Doors
from tests.scenarios.harness.peers import free_port, haproxy

__all__ = ["Twin", "Way"]


@dataclass(frozen=True)
class Way:
    """One route. `host` "*.domain" is a wildcard."""

    host: str
    endpoint: str                # its address
    termination: str = ""        # "edge", "reencrypt", "passthrough"; "": plain
    insecure: str = ""           # "Allow", "Redirect"
    path: str = ""
    certificate: Certified | None = None

    @property
    def pattern(self) -> str:
        """As a regular expression."""
        name = self.host.removeprefix("*.").replace(".", "\\.")
        return f"[^.]*\\.{name}" if self.host.startswith("*.") else name


class Twin(Doors):
    """HAProxy with these routes. `bind` is what else its TLS listener is told."""

    def __init__(self, directory: Path, ways: Sequence[Way], default: Certified, bind: str = "") -> None:
        directory.mkdir(parents=True)
        self._ports = {"web": free_port(), "tls": free_port()}
        (directory / "default.pem").write_text(default.bundle)
        listed = [f"{directory}/default.pem"]
        for number, way in enumerate(ways):
            if way.certificate is not None:
                (directory / f"{number}.pem").write_text(way.certificate.bundle)
                listed.append(f"{directory}/{number}.pem {way.host}")
        (directory / "crt-list").write_text("\n".join([*listed, ""]))
        self._program = haproxy(directory, self._sections(directory, _sorted(ways), bind), list(self._ports.values()))

    def address(self, name: str = "web") -> Address:
        return "127.0.0.1", self._ports[name]

    def stop(self) -> None:
        self._program.stop()

    def _sections(self, directory: Path, ways: Sequence[tuple[int, Way]], bind: str) -> str:
        lines = ["frontend plain", f"  bind 127.0.0.1:{self._ports['web']}"]
        for number, way in ways:
            lines.append(f"  http-request set-var(txn.way) int({number}) if !{{ var(txn.way) -m found }} {_asked(way)}")
        for number, way in ways:
            if way.insecure == "Redirect":
                place = "location https://%[req.hdr(host),field(1,:)]%[capture.req.uri]"
                lines.append(f"  http-request redirect {place} code 302 if {{ var(txn.way) -m int {number} }}")
        served = [(number, way) for number, way in ways if way.termination == "" or way.insecure == "Allow"]
        lines += [f"  use_backend way{number} if {_asked(way)}" for number, way in served]
        lines += ["frontend hello", "  mode tcp", f"  bind 127.0.0.1:{self._ports['tls']}", "  tcp-request inspect-delay 5s"]
        lines += ["  tcp-request content accept if { req.ssl_hello_type 1 }"]
        raw = [(number, way) for number, way in ways if way.termination == "passthrough"]
        lines += [f"  use_backend way{number} if {{ req.ssl_sni -m reg -i ^{way.pattern}$ }}" for number, way in raw]
        lines += ["  use_backend unnamed if !{ req.ssl_sni -m found }", "  default_backend named"]
        for hop in ("named", "unnamed"):
            lines += [f"backend {hop}", "  mode tcp", f"  server hop unix@{directory}/{hop} send-proxy-v2"]
        shown = {"named": f"crt-list {directory}/crt-list {bind}", "unnamed": f"crt {directory}/default.pem"}
        lines += ["frontend terminated", *(f"  bind unix@{directory}/{hop} accept-proxy ssl {how}" for hop, how in shown.items())]
        ended = [(number, way) for number, way in ways if way.termination in ("edge", "reencrypt")]
        lines += [f"  use_backend way{number} if {_asked(way)}" for number, way in ended]
        for number, way in ways:
            mode = "tcp" if way.termination == "passthrough" else "http"
            how = " ssl verify none" if way.termination == "reencrypt" else ""
            lines += [f"backend way{number}", f"  mode {mode}", f"  server one {way.endpoint}{how}"]
        return "\n".join(lines)


def _sorted(ways: Sequence[Way]) -> Sequence[tuple[int, Way]]:
    """As the first match wins: exact hosts before wildcards, longer paths before shorter ones."""
    return sorted(enumerate(ways), key=lambda one: (one[1].host.startswith("*."), -len(one[1].path)))


def _asked(way: Way) -> str:
    return f"{{ base,lower -m reg ^{way.pattern}\\.?(:[0-9]+)?{way.path}(/.*)?$ }}"
