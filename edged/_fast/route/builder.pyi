from collections.abc import Mapping
from typing import Any

class TableError(ValueError):
    key: str
    def __init__(self, key: str, why: object) -> None: ...

class TableBuilder:
    def __init__(
        self, request_headers: tuple[Any, ...] = (), response_headers: tuple[Any, ...] = (), keep_client_certificate: bool = False
    ) -> None: ...
    def build(self, state: Any, slots: Mapping[tuple[str, str], int]) -> int: ...
