"""What all that are compared have to serve."""

from dataclasses import dataclass
from pathlib import Path

from .certificates import Certificates

HOST = "bench.test"              # over TLS with the P-256 certificate
RSA = "rsa.bench.test"           # TLS only: with the RSA certificate
INNER = "inner.bench.test"       # TLS only: encrypted to the backend too
THROUGH = "through.bench.test"   # TLS that is passed through
CONNECTIONS = 15_000             # that a proxy has to take


@dataclass(frozen=True)
class Ports:
    """Where the services of the backend are, or those of a proxy. `hello` is TLS as far as one who passes it through looks at it."""

    http: int
    tcp: int
    https: int
    hello: int


@dataclass(frozen=True)
class Site:
    """So many routes (host and path each) with so many endpoints each, and one TCP service; the same over TLS if there are certificates."""

    routes: int
    endpoints: int
    backend: Ports
    certificates: Certificates | None = None
    crowd: Path | None = None    # a directory of certificates for `crowd_name(0)` and so on, for which there are no routes

    @staticmethod
    def crowd_name(number: int) -> str:
        return f"c{number:05d}.{HOST}"

    def host(self, route: int) -> str:
        return HOST if self.routes == 1 else f"h{route:05d}.{HOST}"

    def addresses(self, route: int) -> list[str]:
        """Every endpoint has an address of its own; one backend answers on all of 127.0.0.0/8."""
        first = route * self.endpoints + 1
        return [f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{self.backend.http}" for i in range(first, first + self.endpoints)]

    @property
    def tcp_address(self) -> str:
        return f"127.0.0.1:{self.backend.tcp}"

    @property
    def https_address(self) -> str:
        return f"127.0.0.1:{self.backend.https}"

    @property
    def hello_address(self) -> str:
        return f"127.0.0.1:{self.backend.hello}"
