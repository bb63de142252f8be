"""Names of header fields as old software wants them spelled."""

from collections.abc import Sequence

class SpellingBook:
    def __init__(self, names: Sequence[str]) -> None: ...
