"""Large files are read in a child of their own: the memory that a long text takes while it is read is gone with it.

The child is told paths and defaults on its standard input, and answers in pieces behind their length on its standard output.
"""

import ctypes
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from hashlib import blake2b
from typing import Any, BinaryIO

import msgpack

from edged.hooks import Object, Origin, Problem, SourceError, pack_routes, unpack_routes

from .beside import Signature
from .content import Content, read_text
from .objects import PackedBody, PackedLines
from .read import Unreadable, read_bytes
from .shortform import Defaults

__all__ = ["Take", "digest", "main", "read_apart"]

_AT_ONCE = 200                                   # routes or objects in a piece
_PIECE_MOST_BYTES = 256 * 1024 * 1024
_LENGTH = struct.Struct("!I")
_PR_SET_DUMPABLE = 4

Take = Callable[[str, bytes, Content | Unreadable | None], None]     # path, digest of the text, content; None: there is no such file


def digest(text: bytes) -> bytes:
    """To tell whether a file is as it was."""
    return blake2b(text, digest_size=16).digest()


async def read_apart(paths: Sequence[str], defaults: Defaults, take: Take) -> None:
    """Read files in a child, in order, and hand each to `take`. Raises SourceError if the child fails."""
    import trio

    order = json.dumps({"paths": list(paths), "defaults": asdict(defaults)}).encode()
    program = [sys.executable, "-P", "-m", __name__]
    try:
        child = await trio.lowlevel.open_process(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as why:
        raise SourceError(f"no process can be started to read large files: {why.strerror}") from None
    assert child.stdin is not None
    assert child.stdout is not None
    received = _Received(child.stdout)
    try:
        async with child.stdin:
            await child.stdin.send_all(order)    # the child reads all of it before it answers
        for path in paths:
            take(path, *await _one(path, received))
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, trio.BrokenResourceError) as why:
        raise SourceError(f"the process that reads large files has failed: {why}") from None
    finally:
        child.kill()
        with trio.CancelScope(shield=True):
            await child.wait()
            await child.stdout.aclose()


class _Received:
    """Pieces of a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._data = bytearray()

    async def piece(self) -> list[Any]:
        (length,) = _LENGTH.unpack(await self._exactly(_LENGTH.size))
        if length > _PIECE_MOST_BYTES:
            raise ValueError(f"a piece of {length} bytes was announced")
        piece: list[Any] = msgpack.unpackb(await self._exactly(length))
        return piece

    async def _exactly(self, length: int) -> bytes:
        while len(self._data) < length:
            more = await self._stream.receive_some(65536)
            if not more:
                raise ValueError("it ended too early")
            self._data += more
        taken = bytes(self._data[:length])
        del self._data[:length]
        return taken


async def _one(path: str, received: _Received) -> tuple[bytes, Content | Unreadable | None]:
    """The answer for one file."""
    routes: list[Any] = []
    objects: list[Object] = []
    problems: list[Problem] = []
    kept: tuple[tuple[int, str], ...] = ()
    beside: tuple[tuple[str, Signature], ...] = ()
    while True:
        match await received.piece():
            case ["routes", packed]:
                routes += unpack_routes(packed)
            case ["objects", packed]:
                objects += (_object(path, *one) for one in packed)
            case ["problems", packed]:
                problems += (Problem(Origin(path, line), key, message, name) for line, key, message, name in packed)
            case ["kept", packed]:
                kept = tuple((int(at), str(key)) for at, key in packed)
            case ["beside", packed]:
                beside = tuple((str(path), tuple(signature)) for path, signature in packed)
            case ["end", mark]:
                return mark, Content(tuple(routes), tuple(objects), tuple(problems), kept, beside)
            case ["unreadable", mark, line, message]:
                return mark, Unreadable(line, message)
            case ["missing"]:
                return b"", None
            case other:
                raise ValueError(f"it sent {other[:1]}")


def _object(path: str, line: int, packed: bytes, body_line: int, steps: bytes) -> Object:
    body = PackedBody(packed)
    return Object(body, Origin(path, line), PackedLines(body, body_line, steps))


# ---- in the child ----


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)        # keys pass through here: nobody else reads this memory, nor a core of it
    order = json.load(sys.stdin)
    defaults = Defaults(**order["defaults"])
    for path in order["paths"]:
        for piece in _answer(path, defaults):
            _send(sys.stdout.buffer, piece)
        sys.stdout.buffer.flush()


def _answer(path: str, defaults: Defaults) -> Iterator[Sequence[Any]]:
    mark = b""
    try:
        text = read_bytes(path)
        mark = digest(text)
        content = read_text(text, path, defaults)
    except FileNotFoundError:
        yield ["missing"]
    except Unreadable as why:
        yield ["unreadable", mark, why.line, why.message]
    else:
        del text
        yield from (["routes", pack_routes(some)] for some in _some(content.routes))
        yield from (["objects", [_packed(told) for told in some]] for some in _some(content.objects))
        yield from (
            ["problems", [(one.origin.line, one.key, one.message, one.object) for one in some]] for some in _some(content.problems)
        )
        yield ["kept", content.kept]
        yield ["beside", content.beside]
        yield ["end", mark]


def _packed(told: Object) -> tuple[int, bytes, int, bytes]:
    body, lines = told.body, told.lines
    assert isinstance(body, PackedBody)
    assert isinstance(lines, PackedLines)
    return told.origin.line, body.packed, lines.line, lines.steps


def _some(all_: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (all_[start:start + _AT_ONCE] for start in range(0, len(all_), _AT_ONCE))


def _send(to: BinaryIO, piece: Sequence[Any]) -> None:
    body = msgpack.packb(piece)
    to.write(_LENGTH.pack(len(body)))
    to.write(body)


if __name__ == "__main__":
    main()
