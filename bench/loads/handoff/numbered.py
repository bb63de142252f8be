"""Bytes that know their place, so that one that is lost, doubled or moved is seen; and how a tunnel carries them.

A tunnel carries frames, each a length and so many numbered bytes. A frame of length nought ends what one side has to say, and tells how
much that was: a tunnel that ends without it was cut.
"""

import random
import struct

import trio

__all__ = ["SILENCE_S", "Closed", "Garbled", "Reader", "check", "end_frame", "frame", "numbered", "receive_frames"]

PERIOD = 1_000_003                               # a prime: no buffer's size divides it
READ_BYTES = 65536
SILENCE_S = 15.0                                 # after which an exchange or tunnel is given up

_TEXT = random.Random(PERIOD).randbytes(PERIOD)
_TEXT += _TEXT[:READ_BYTES * 2]
_LENGTH = struct.Struct("!I")
_TOTAL = struct.Struct("!Q")


class Garbled(Exception):
    """Other bytes came than were sent."""


class Closed(Exception):
    """The other side closed, in the midst of something."""


def numbered(seed: int, at: int, n: int) -> bytes:
    """Bytes `at` to `at + n` of the stream that `seed` begins; n is READ_BYTES * 2 at most."""
    first = (seed * 7919 + at) % PERIOD
    return _TEXT[first:first + n]


def check(seed: int, at: int, data: bytes | bytearray) -> None:
    """Raises Garbled."""
    for offset in range(0, len(data), READ_BYTES):
        piece = data[offset:offset + READ_BYTES]
        if piece != numbered(seed, at + offset, len(piece)):
            wrong = next(i for i, (a, b) in enumerate(zip(piece, numbered(seed, at + offset, len(piece)), strict=True)) if a != b)
            raise Garbled(f"byte {at + offset + wrong} of stream {seed} is another one")


class Reader:
    """A stream read by marks and lengths. Raises Closed where it ends before."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._data = bytearray()

    @property
    def has_begun(self) -> bool:
        """Whether there is anything that was not taken."""
        return bool(self._data)

    async def until(self, mark: bytes) -> bytes:
        while (end := self._data.find(mark)) < 0:
            await self._more()
        return self._take(end + len(mark))

    async def exactly(self, n: int) -> bytes:
        while len(self._data) < n:
            await self._more()
        return self._take(n)

    async def some(self, most: int) -> bytes:
        if not self._data:
            await self._more()
        return self._take(min(most, len(self._data)))

    async def at_end(self) -> bool:
        """Wait for a byte or the end, whichever comes."""
        if self._data:
            return False
        self._data += await self._stream.receive_some(READ_BYTES)
        return not self._data

    async def _more(self) -> None:
        got = await self._stream.receive_some(READ_BYTES)
        if not got:
            raise Closed(f"it ended after {len(self._data)} bytes")
        self._data += got

    def _take(self, n: int) -> bytes:
        taken = bytes(self._data[:n])
        del self._data[:n]
        return taken


def frame(seed: int, at: int, n: int) -> bytes:
    return _LENGTH.pack(n) + numbered(seed, at, n)


def end_frame(total: int) -> bytes:
    return _LENGTH.pack(0) + _TOTAL.pack(total)


async def receive_frames(reader: Reader, seed: int) -> tuple[int, float]:
    """Check all frames of the other side, to the one that ends them; answers how many bytes they held, and the longest wait for one in
    seconds. Raises Garbled, Closed, trio.TooSlowError."""
    at, longest_s = 0, 0.0
    while True:
        began_s = trio.current_time()
        with trio.fail_after(SILENCE_S):
            (n,) = _LENGTH.unpack(await reader.exactly(_LENGTH.size))
            if n > READ_BYTES:
                raise Garbled(f"a frame of {n} bytes after {at} bytes")
            data = await reader.exactly(n or _TOTAL.size)
        longest_s = max(longest_s, trio.current_time() - began_s)
        if n == 0:
            (total,) = _TOTAL.unpack(data)
            if total != at:
                raise Garbled(f"{at} of {total} bytes came")
            return at, longest_s
        check(seed, at, data)
        at += n
