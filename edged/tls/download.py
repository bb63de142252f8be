"""One file by plain HTTP, with an end to everything: size, time, redirects. For lists that are signed, and for nothing else."""

from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import trio

from edged._fast.parse.head import read_response
from edged.errors import EdgedError

__all__ = ["BadDownload", "download"]

_PIECE_BYTES = 64 * 1024
_HEAD_MOST_BYTES = 16 * 1024
_REDIRECTS_MOST = 3
_REDIRECTS = (301, 302, 303, 307, 308)


class BadDownload(EdgedError):
    """It could not be had."""


async def download(url: str, *, most_bytes: int, most_s: float) -> bytes:
    """Raises BadDownload."""
    try:
        with trio.fail_after(most_s):
            for _ in range(_REDIRECTS_MOST + 1):
                body, url = await _ask(url, most_bytes)
                if body is not None:
                    return body
    except trio.TooSlowError:
        raise BadDownload(f"it takes longer than {most_s:g} s") from None
    except (OSError, trio.BrokenResourceError, ValueError) as why:
        raise BadDownload(str(why) or type(why).__name__) from None
    raise BadDownload("it is redirected again and again")


async def _ask(url: str, most_bytes: int) -> tuple[bytes | None, str]:
    """The body, or None and where to ask instead."""
    parts = _parts(url)
    async with await trio.open_tcp_stream(parts.hostname or "", parts.port or 80) as stream:
        await stream.send_all(_request(parts))
        head, data = await _head(stream)
        fields = {name.lower(): value for name, value in head["fields"]}
        if head["status"] in _REDIRECTS and b"location" in fields:
            return None, urljoin(url, fields[b"location"].decode("ascii"))
        if head["status"] != 200:
            raise BadDownload(f"the answer is {head['status']}")
        if "chunked" in head["flags"]:           # which must not be sent to HTTP/1.0
            raise BadDownload("the answer comes in chunks that were not asked for")
        length = head["length"] if "length" in head["flags"] else None
        return await _body(stream, data[head["size"]:], length, most_bytes), url


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url:
            return parts
    except ValueError:
        pass
    raise BadDownload(f'"{url:.200}" is no http URL')


def _request(parts: SplitResult) -> bytes:
    """HTTP/1.0, as the answer is then as it lies in the file."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    return f"GET {target} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\nUser-Agent: edged\r\nConnection: close\r\n\r\n".encode("ascii")


async def _head(stream: trio.SocketStream) -> tuple[dict[str, Any], bytes]:
    """The facts of an answer's head, and all that has come."""
    data = b""
    while True:
        head = read_response(data, head_bytes=_HEAD_MOST_BYTES)
        if head is not None:
            return head, data
        piece = await stream.receive_some(_PIECE_BYTES)
        if not piece:
            raise BadDownload("the server ended in the middle of an answer")
        data += piece


async def _body(stream: trio.SocketStream, begin: bytes, length: int | None, most_bytes: int) -> bytes:
    """`length` bytes; None: up to the end of the connection."""
    body = bytearray(begin)
    while length is None or len(body) < length:
        if max(len(body), length or 0) > most_bytes:
            raise BadDownload(f"it is larger than {most_bytes} bytes")
        piece = await stream.receive_some(_PIECE_BYTES)
        if not piece:
            break
        body += piece
    if length is not None and len(body) < length:
        raise BadDownload("the server ended in the middle of an answer")
    return bytes(body if length is None else body[:length])
