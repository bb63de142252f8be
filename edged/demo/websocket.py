"""As much of WebSocket (RFC 6455) as an echo needs."""

import base64
import hashlib
import struct

import trio

__all__ = ["echo"]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MESSAGE_MOST = 1 << 20
CLOSE, PING, PONG = 8, 9, 10


async def echo(stream: trio.abc.Stream, key: str) -> None:
    """Accept the upgrade, then send every message back until the other side closes. Frames keep their cut."""
    accept = base64.b64encode(hashlib.sha1(key.encode("latin-1") + GUID).digest()).decode()
    await stream.send_all(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while (frame := await read_frame(stream)) is not None:
        first, payload = frame
        kind = first & 0x0F
        if kind == PING:
            first = first & 0xF0 | PONG
        if kind != PONG:
            await stream.send_all(frame_of(first, payload))
        if kind == CLOSE:
            return


def frame_of(first: int, payload: bytes) -> bytes:
    """A server's frame: never masked."""
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


async def read_frame(stream: trio.abc.Stream) -> tuple[int, bytes] | None:
    """First byte and unmasked payload; None at the end, or when it is too long or not masked."""
    head = await read(stream, 2)
    if head is None or not head[1] & 0x80:
        return None
    length = head[1] & 0x7F
    if length >= 126:
        longer = await read(stream, 2 if length == 126 else 8)
        if longer is None:
            return None
        length = int.from_bytes(longer)
    if length > MESSAGE_MOST:
        return None
    mask, payload = await read(stream, 4), await read(stream, length)
    if mask is None or payload is None:
        return None
    return head[0], bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


async def read(stream: trio.abc.Stream, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = await stream.receive_some(count - len(data))
        if not piece:
            return None
        data += piece
    return data
