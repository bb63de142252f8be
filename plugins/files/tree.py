"""YAML text to values that know their lines.

Scalars follow the core schema of YAML 1.2, so that `no` and `017` mean what they look like: a text and seventeen. Built from
the parser's events with a stack of our own: nesting, size and aliases are bounded, whatever the text says.
"""

import gc
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

__all__ = ["Document", "Duplicate", "List", "Map", "YamlError", "line_of", "read_documents"]

_DEPTH_MOST = 64
_VALUES_MOST = 5_000_000                         # of one file, with every alias written out
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)|0o(?P<oct>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<inf>[-+]?\.(?:inf|Inf|INF))|(?P<nan>\.(?:nan|NaN|NAN))"
)
_NUMBER_STARTS = frozenset("+-.0123456789")
_TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "null", "bool", "int", "float", "map", "seq")}

Path = tuple[str | int, ...]


class YamlError(Exception):
    """The text cannot be read; nothing of it is used."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Map(dict[str, Any]):
    """A mapping; `lines` are those of its keys, in order."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[int] = []


class List(list[Any]):
    """A sequence; `lines` are those of its items."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that was given twice: its value counts as neither."""

    path: Path
    line: int


@dataclass(frozen=True, slots=True)
class Document:
    value: Any
    line: int
    duplicates: Sequence[Duplicate] = ()


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is being read."""

    into: Map | List
    line: int
    anchor: str | None
    began: int                                   # values counted before it
    key: str | None = None                       # of the value that comes next
    at: str = ""                                 # the last key
    doubled: bool = False                        # and it is given for the second time


@dataclass(slots=True)
class _Anchored:
    value: Any
    values: int                                  # what it counts for wherever it is repeated


def read_documents(text: str | bytes) -> list[Document]:
    """All documents of a text, empty ones left out. Raises YamlError."""
    collects = gc.isenabled()
    gc.disable()                                 # most of the time would go into looking at values that all stay
    try:
        return list(_documents(text))
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        raise YamlError(mark.line + 1 if mark else 1, why.problem or str(why.context)) from None
    except yaml.YAMLError as why:                # what is no text: the reader has no marks
        raise YamlError(1, str(why).splitlines()[0]) from None
    except UnicodeError:
        raise YamlError(1, "the file is not UTF-8") from None
    finally:
        if collects:
            gc.enable()


def line_of(value: Any, path: Sequence[str | int], line: int) -> int:
    """The line of what is at `path` within a value that begins at `line`, or of what is nearest around it."""
    for step in path:
        try:
            if isinstance(value, Map) and isinstance(step, str):
                line = value.lines[list(value).index(step)]
            elif isinstance(value, List) and isinstance(step, int):
                line = value.lines[step]
            else:
                break
            value = value[step]
        except (ValueError, IndexError):
            break
    return line


def _documents(text: str | bytes) -> Iterator[Document]:
    parser = CParser(text)
    builder = _Builder()
    get = parser.get_event
    while True:
        event = get()
        if builder.take(event):
            if builder.document is not None:
                yield builder.document
            builder = _Builder(builder.count)
        if isinstance(event, yaml.StreamEndEvent):
            return


@dataclass(slots=True)
class _Builder:
    """One document. `count` goes on over all of a file."""

    count: int = 0
    document: Document | None = None
    _stack: list[_Open] = field(default_factory=list)
    _anchors: dict[str, _Anchored] = field(default_factory=dict)
    _duplicates: list[Duplicate] = field(default_factory=list)
    _root: Any = None
    _line: int = 0

    def take(self, event: Any) -> bool:
        """Use one event; answers True at the end of the document."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._begin(event, Map() if kind is yaml.MappingStartEvent else List())
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._end()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentEndEvent:
            if self._root is not None:
                self.document = Document(self._root, self._line, tuple(self._duplicates))
            return True
        return False

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        value = event.value
        expects_key = self._stack and type(self._stack[-1].into) is Map and self._stack[-1].key is None
        if not expects_key and (event.tag is not None or event.style is None or event.style == ""):
            value = _plain(value) if event.tag is None else _tagged(value, event.tag, line)
        self._add(value, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, 1)

    def _begin(self, event: Any, into: Map | List) -> None:
        line = event.start_mark.line + 1
        if event.tag is not None and _TAGS.get(event.tag) != ("map" if type(into) is Map else "seq"):
            raise YamlError(line, f"the tag {event.tag} has no meaning here")
        if len(self._stack) >= _DEPTH_MOST:
            raise YamlError(line, f"values are nested more than {_DEPTH_MOST} deep")
        began = self.count
        self._add(into, line)
        self._stack.append(_Open(into, line, event.anchor, began))

    def _end(self) -> None:
        done = self._stack.pop()
        if done.anchor is not None:
            self._anchors[done.anchor] = _Anchored(done.into, self.count - done.began)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        meant = self._anchors.get(event.anchor)
        if meant is None:
            raise YamlError(line, f"there is no complete &{event.anchor} before this *{event.anchor}")
        self.count += meant.values - 1
        self._add(meant.value, line)

    def _add(self, value: Any, line: int) -> None:
        """Put a value where it belongs: the next key, the value of one, an item, or the document itself."""
        self.count += 1
        if self.count > _VALUES_MOST:
            raise YamlError(line, f"the file has more than {_VALUES_MOST} values")
        if not self._stack:
            self._root, self._line = value, line
            return
        top = self._stack[-1]
        if type(top.into) is List:
            top.into.append(value)
            top.into.lines.append(line)
        elif top.key is None:
            self._key(top, value, line)
        else:
            if not top.doubled:
                top.into[top.key] = value        # type: ignore[call-overload]
            top.key = None

    def _key(self, top: _Open, key: Any, line: int) -> None:
        if not isinstance(key, str):
            raise YamlError(line, "a key is a text")
        top.key = top.at = key
        top.doubled = key in top.into
        if top.doubled:
            self._duplicates.append(Duplicate((*self._path(), key), line))
        else:
            top.into.lines.append(line)

    def _path(self) -> Path:
        """Where the innermost open value is."""
        return tuple(len(one.into) - 1 if type(one.into) is List else one.at for one in self._stack[:-1])


def _plain(text: str) -> Any:
    """The value of a scalar without quotes."""
    if text in _NULL:
        return None
    if text[0] in _NUMBER_STARTS:
        match = _NUMBER.fullmatch(text)
        return text if match is None else _number(match)
    return _TRUTH.get(text, text)


def _number(match: re.Match[str]) -> int | float:
    kind = match.lastgroup
    if kind in ("int", "oct", "hex"):
        digits = match[kind]
        number = int(digits, {"int": 10, "oct": 8, "hex": 16}[kind]) if len(digits) < 32 else None
        if number is not None and -(1 << 63) <= number < 1 << 64:
            return number
        return float(digits) if kind == "int" else float("inf")
    return float(match[0].replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan"))


def _tagged(text: str, tag: str, line: int) -> Any:
    """The value of a scalar whose type is written beside it."""
    wanted = _TAGS.get(tag, "str" if tag == "!" else None)
    if wanted == "str":
        return text
    value = _plain(text)
    found = {type(None): "null", bool: "bool", int: "int", float: "float"}.get(type(value))
    if wanted is None or wanted != found:
        raise YamlError(line, f"the tag {tag} does not fit {text!r}" if wanted else f"the tag {tag} has no meaning here")
    return value
