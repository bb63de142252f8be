from collections.abc import Mapping
from typing import Any

class TableError(ValueError):
    key: str
    def __init__(self, key: str, why: object) -> None: ...

class TableBuilder:
    def __init__(self) -> None: ...
    def build(self, state: Any, slots: Mapping[tuple[str, str], int]) -> int: ...
