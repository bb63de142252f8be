"""Objects of a cluster as they lie in a file: packed, since tens of thousands of them would weigh ten times as much as mappings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgpack

from edged.hooks import Object, Origin, Problem

from .tree import Document, List, Map

__all__ = ["PackedBody", "PackedLines", "read_objects"]


class PackedBody(Mapping[str, Any]):
    """A mapping that is unpacked when it is read. The last one read stays unpacked, as who reads it reads it more than once."""

    __slots__ = ("packed",)
    _last: tuple[bytes, dict[str, Any]] = (b"", {})

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    def unpacked(self) -> dict[str, Any]:
        """The mapping; not to be changed."""
        packed, body = PackedBody._last
        if packed is not self.packed:
            body = msgpack.unpackb(self.packed)
            PackedBody._last = (self.packed, body)
        return body

    def __getitem__(self, key: str) -> Any:
        return self.unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.unpacked())

    def __len__(self) -> int:
        return len(self.unpacked())


class PackedLines(Mapping[str, int]):
    """The line of each path of a body, such as "spec.to.weight" or "spec.tls". Kept as the steps from one value to the next."""

    __slots__ = ("body", "line", "steps")

    def __init__(self, body: PackedBody, line: int, steps: bytes) -> None:
        self.body = body
        self.line = line
        self.steps = steps

    def __getitem__(self, path: str) -> int:
        for found, line in self._walk():
            if found == path:
                return line
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in self._walk())

    def __len__(self) -> int:
        return sum(1 for _ in self._walk())

    def _walk(self) -> Iterator[tuple[str, int]]:
        line = self.line
        for path, step in zip(_paths(self.body.unpacked(), ""), _unpacked_steps(self.steps), strict=True):
            line += step
            yield path, line


def read_objects(document: Document, where: str) -> Iterator[Object | Problem]:
    """The objects of a document with a `kind`; a list of objects is taken apart. One with a key given twice is refused."""
    body = document.value
    kind = body.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(body.get("items"), List):
        items = body["items"]
        for number, item in enumerate(items):
            yield from _read(item, items.lines[number], ("items", number), document, where, kind.removesuffix("List"))
    else:
        yield from _read(body, document.line, (), document, where, "")


def _read(body: Any, line: int, at: Sequence[str | int], document: Document, where: str, kind: str) -> Iterator[Object | Problem]:
    """One object; `kind` is what it is if it does not say so itself, within a list of its kind."""
    if not isinstance(body, Map):
        yield Problem(Origin(where, line), "", "an object is a mapping")
        return
    if kind and "kind" not in body:
        body["kind"] = kind
        body.lines.append(line)
    name = object_name(body)
    if not isinstance(body.get("kind"), str):
        yield Problem(Origin(where, line), "kind", "must be a text", name)
        return
    doubled = [one for one in document.duplicates if tuple(one.path[:len(at)]) == tuple(at)]
    for one in doubled:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in one.path[len(at):]).lstrip(".")
        yield Problem(Origin(where, one.line), path, f"this key is here twice; {body['kind']} {name} is refused", name)
    if doubled:
        return
    meta = body.get("metadata")
    if isinstance(meta, Map) and "managedFields" in meta:        # often longer than all the rest, and of no use here
        meta.lines.pop(list(meta).index("managedFields"))
        del meta["managedFields"]
    packed = PackedBody(msgpack.packb(body))
    yield Object(packed, Origin(where, line), PackedLines(packed, line, _packed_steps(_lines(body), line)))


def object_name(body: Mapping[str, Any]) -> str:
    """namespace/name, as far as it says."""
    meta = body.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    return "/".join(str(meta[key]) for key in ("namespace", "name") if meta.get(key) is not None)


def _lines(value: Any) -> Iterator[int]:
    """Of every value within, in the order of `_paths`."""
    if isinstance(value, Map | List):
        for inner, line in zip(value.values() if isinstance(value, Map) else value, value.lines, strict=True):
            yield line
            yield from _lines(inner)


def _paths(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{at}.{key}" if at else key
            yield path
            yield from _paths(inner, path)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield f"{at}[{number}]"
            yield from _paths(inner, f"{at}[{number}]")


def _packed_steps(lines: Iterator[int], line: int) -> bytes:
    """Differences from one line to the next; most fit a byte, also those backwards to what an alias names."""
    packed = bytearray()
    for there in lines:
        step = there - line
        line = there
        if -64 <= step < 63:
            packed.append(step + 64)
        else:
            packed.append(255)
            packed += step.to_bytes(4, "little", signed=True)
    return bytes(packed)


def _unpacked_steps(packed: bytes) -> Iterator[int]:
    at = 0
    while at < len(packed):
        if packed[at] == 255:
            yield int.from_bytes(packed[at + 1:at + 5], "little", signed=True)
            at += 5
        else:
            yield packed[at] - 64
            at += 1
