"""HAProxy's log-format text, compiled."""

from collections.abc import Sequence

WORDS: tuple[str, ...]

class Format:
    def __init__(self, pieces: Sequence[tuple[str, str, str | int]]) -> None: ...

class Notebook:
    def __init__(
        self, captures: Sequence[tuple[str, str, int]], n_request: int, n_response: int, cookies: bool, id_format: Format | None,
        id_header: str,
    ) -> None: ...
