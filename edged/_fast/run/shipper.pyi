from edged._fast.memory.ring import Ring

PATIENCE_S: float
RETRY_S: float
FIRST_PAUSE_S: float
LONGEST_PAUSE_S: float

class Shipper:
    target: str
    trouble: str
    def __init__(
        self,
        ring: Ring,
        target: str,
        *,
        facility: str = "local1",
        severity: str = "info",
        tag: str = "edged",
        rfc: str = "3164",
        max_length: int = 1024,
        hostname: str | None = None,
        fd: int = 2,
    ) -> None: ...
    @property
    def written(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    def ship(self) -> float | None: ...
    def reopen(self) -> None: ...
    def close(self) -> None: ...

def look_up(shipper: Shipper) -> None: ...
