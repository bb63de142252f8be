"""On which line of a TOML file a key stands, so that errors can say so.

`tomllib` decides what the text means; this only finds places again in a text that it has accepted (for one that it has not,
the parser tells the line itself). Paths look like "timeouts.client", "listener[1].address", "sources.files.paths".
"""

import re
from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<text>\"\"\"(?:[^\\]|\\.)*?\"{3,5}|'''.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
      | (?P<mark>[\[\]{}=,.])
      | (?P<word>[^\s\[\]{}=,.\#"']+)""",
    re.VERBOSE | re.DOTALL,
)

Token = tuple[str, str, int]                     # kind, text, line


def key_lines(text: str) -> Mapping[str, int]:
    """Path of every table and key to its line, the first being 1."""
    return _Reader(text).read()


def line_of(lines: Mapping[str, int], path: str) -> int:
    """The line of a path, or of the nearest table around it; 0 if even that is not written."""
    while path:
        if path in lines:
            return lines[path]
        path = re.sub(r"(\[\d+\]|\.?[^.\[\]]+)$", "", path)
    return 0


def _tokens(text: str) -> Iterator[Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "blank":
            yield kind, match.group(), line
        line += match.group().count("\n")
    yield "newline", "\n", line
    yield "end", "", line


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._lines: dict[str, int] = {}
        self._counts: dict[str, int] = {}        # how many [[name]] came so far

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _is(self, mark: str) -> bool:
        return self._now[:2] == ("mark", mark)

    def read(self) -> Mapping[str, int]:
        table = ""
        while self._now[0] != "end":
            if self._is("["):
                table = self._header()
            elif self._now[0] != "newline":
                self._pair(table)
            while self._now[0] not in ("newline", "end"):
                self._at += 1
            self._at += self._now[0] == "newline"
        return self._lines

    def _header(self) -> str:
        line = self._now[2]
        self._at += 1
        many = self._is("[")
        self._at += many
        names = self._names()
        path = ""
        for depth, name in enumerate(names):
            path = _join(path, name)
            self._lines.setdefault(path, line)
            if many and depth == len(names) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path += f"[{self._counts[path] - 1}]"
        self._lines.setdefault(path, line)
        return path

    def _names(self) -> list[str]:
        """A dotted key. A number with a dot is two names here, as in TOML."""
        names = []
        while self._now[0] in ("word", "text") or self._is("."):
            if not self._is("."):
                kind, text, _ = self._now
                names.append(text[1:-1] if kind == "text" else text)
            self._at += 1
        return names

    def _pair(self, table: str) -> None:
        line = self._now[2]
        path = table
        for name in self._names():
            path = _join(path, name)
            self._lines.setdefault(path, line)
        if self._is("="):
            self._at += 1
            self._value(path)

    def _value(self, path: str) -> None:
        if self._is("["):
            self._at += 1
            number = 0
            while not self._is("]") and self._now[0] != "end":
                if self._now[0] == "newline" or self._is(","):
                    number += self._is(",")
                    self._at += 1
                else:
                    self._lines.setdefault(f"{path}[{number}]", self._now[2])
                    self._value(f"{path}[{number}]")
            self._at += 1
        elif self._is("{"):
            self._at += 1
            while not self._is("}") and self._now[0] != "end":
                if self._now[0] == "newline" or self._is(","):
                    self._at += 1
                else:
                    self._pair(path)
            self._at += 1
        else:                                    # a date and a time may be two words
            while self._now[0] in ("word", "text") or self._is("."):
                self._at += 1


def _join(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name
