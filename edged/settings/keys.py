"""What a settings key is. Each is declared once, as the field of a dataclass: type, range, default, meaning and its word in
the environment. Parsing, `edged check --defaults` and the documentation are all made from that."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Generic, TypeVar

from edged.settings import units

__all__ = ["Choice", "Env", "Flag", "Key", "Kind", "Network", "Permissions", "Size", "Text", "Texts", "Time", "Whole", "key", "keys_of"]

T = TypeVar("T")


class Kind(Generic[T]):
    """How a value is written. `read` raises ValueError with what to write instead."""

    accepts = ""                                 # one phrase for the documentation

    def read(self, value: object) -> T:
        raise NotImplementedError

    def write(self, value: T) -> str:
        """The value as TOML."""
        return json.dumps(value, ensure_ascii=False)


def _named(value: object) -> str:
    """How TOML calls what was given."""
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


class Flag(Kind[bool]):
    accepts = "true or false"

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"write true or false, not {_named(value)}")
        return value


class Whole(Kind[int]):
    """A whole number within a range, both ends included."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.accepts = f"{least} to {most}"

    def read(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"write a whole number, not {_named(value)}")
        if not self.least <= value <= self.most:
            raise ValueError(f"{value} is out of range: {self.accepts}")
        return value


class Size(Whole):
    """Bytes."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(least, most)
        self.accepts = f"a size, {least} to {most} bytes"

    def read(self, value: object) -> int:
        return super().read(units.size_bytes(value) if isinstance(value, str) else value)


class Time(Kind[int]):
    """Milliseconds; written with a unit."""

    def __init__(self, least: int = 1, most: int = units.MOST_MS) -> None:
        self.least, self.most = least, most
        self.accepts = 'a time, or "0"' if least == 0 else "a time"

    def read(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f'write a time such as "30s", not {_named(value)}')
        ms = value if isinstance(value, int) else 0 if value == "0" else units.time_units_ms(value)
        if not self.least <= ms <= self.most:
            raise ValueError(f"{units.time_text(ms)} is out of range: {units.time_text(self.least)} to {units.time_text(self.most)}")
        return ms

    def write(self, value: int) -> str:
        return json.dumps(units.time_text(value) if value else "0")


class Permissions(Whole):
    """The mode of a file."""

    def __init__(self) -> None:
        super().__init__(0, 0o777)
        self.accepts = "0o000 to 0o777"

    def write(self, value: int) -> str:
        return f"0o{value:03o}"


class Choice(Kind[str]):
    """One of a few words."""

    def __init__(self, *words: str, also: Mapping[object, str] | None = None) -> None:
        self.words, self.also = words, also or {}
        self.accepts = ", ".join(words)

    def read(self, value: object) -> str:
        if isinstance(value, bool | int | str) and value in self.also:
            return self.also[value]
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"{json.dumps(value) if isinstance(value, str) else _named(value)} is none of {self.accepts}")
        return value


class Text(Kind[str]):
    """A text; `shape` raises ValueError for a wrong one and answers it in canonical form."""

    def __init__(self, accepts: str = "a text", shape: Callable[[str], str] | None = None) -> None:
        self.accepts, self.shape = accepts, shape

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"write a text, not {_named(value)}")
        if any(character < " " for character in value):
            raise ValueError("control characters have no place here")
        return self.shape(value) if self.shape and value else value


class Texts(Kind[tuple[str, ...]]):
    """A list of texts."""

    def __init__(self, accepts: str = "a list of texts", shape: Callable[[str], str] | None = None) -> None:
        self.accepts, self._one = accepts, Text(shape=shape)

    def read(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"write a list, not {_named(value)}")
        return tuple(self._one.read(item) for item in value)

    def write(self, value: tuple[str, ...]) -> str:
        return json.dumps(list(value), ensure_ascii=False)


def Network() -> Texts:
    return Texts('a list such as ["10.0.0.0/8", "::1"]', units.network)


@dataclass(frozen=True, slots=True)
class Env:
    """The environment's word for a key: how it is written there, and whether a wrong value stops the start."""

    name: str
    read: Callable[[str], Any]                   # raises ValueError
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    name: str                                    # as written in the file
    field: str                                   # of the dataclass
    kind: Kind[Any]
    default: Any
    doc: str
    env: tuple[Env, ...]                         # the first that is set and sound counts


def key(kind: Kind[T], default: T, doc: str, env: tuple[Env, ...] = (), name: str = "") -> T:
    """Declare a key: the value of a dataclass field. The name in the file is the field's, without a unit of time."""
    return field(default=default, metadata={"kind": kind, "doc": doc, "env": env, "name": name})


def keys_of(table: type) -> Sequence[Key]:
    """The keys that a dataclass declares, in order."""
    return tuple(_key(item) for item in fields(table) if item.metadata)


def _key(item: "Field[Any]") -> Key:
    assert item.default is not MISSING
    meta = item.metadata
    return Key(meta["name"] or item.name.removesuffix("_ms"), item.name, meta["kind"], item.default, meta["doc"], meta["env"])
