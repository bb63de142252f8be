"""A file by plain HTTP: what servers do, and what is made of it."""

import socket

import pytest
import trio

from edged.tls.download import BadDownload, download

OK = b"HTTP/1.1 200 OK\r\n"


async def serve(answers, asked, task_status):
    """Answers one connection after another; an answer is bytes, or a function that is given the stream."""
    listener, = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    task_status.started(port)
    async with listener:
        for answer in answers:
            async with await listener.accept() as stream:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += await stream.receive_some(4096)
                asked.append(request)
                try:
                    if isinstance(answer, bytes):
                        await stream.send_all(answer.replace(b"{}", b"%d" % port))
                    else:
                        await answer(stream)
                except trio.BrokenResourceError:
                    pass                         # who has heard enough goes


def fetched(*answers, url="http://127.0.0.1:{}/a?b=c", most_bytes=100_000, most_s=5.0):
    """What is fetched, or why nothing is; and what was asked for."""
    asked = []

    async def main():
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve, answers, asked)
            try:
                return await download(url.format(port), most_bytes=most_bytes, most_s=most_s)
            except BadDownload as why:
                return str(why)
            finally:
                nursery.cancel_scope.cancel()

    return trio.run(main), asked


async def drop_by_drop(stream):
    for byte in OK + b"Content-Length: 3\r\n\r\nabc":
        await stream.send_all(bytes([byte]))


async def for_ever(stream):
    await stream.send_all(OK + b"\r\n")
    while True:
        await stream.send_all(b"x" * 10_000)


async def in_silence(stream):
    await stream.send_all(OK)
    await trio.sleep_forever()


def test_what_is_asked():
    body, asked = fetched(OK + b"Content-Length: 5\r\n\r\nhello")
    assert body == b"hello"
    assert asked[0].startswith(b"GET /a?b=c HTTP/1.0\r\nHost: 127.0.0.1:")
    assert fetched(OK + b"\r\n", url="http://127.0.0.1:{}")[1][0].startswith(b"GET / HTTP/1.0\r\n")


@pytest.mark.parametrize(("answer", "body"), [
    (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 99_000, b"x" * 99_000), (OK + b"Content-Length: 2\r\n\r\nhello", b"he"), (drop_by_drop, b"abc"),
    (OK + b"Content-Length: 0\r\n\r\n", b""), (OK + b"Content-Length: 100000\r\n\r\n" + b"y" * 100_000, b"y" * 100_000),
])
def test_what_is_taken(answer, body):
    assert fetched(answer)[0] == body


@pytest.mark.parametrize(("answer", "why"), [
    (b"HTTP/1.1 404 Not Found\r\n\r\nno", "the answer is 404"), (b"HTTP/1.1 304 Not Modified\r\n\r\n", "the answer is 304"),
    (b"HTTP/1.1 302 Found\r\n\r\n", "the answer is 302"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunks"), (OK + b"Content-Length: 9\r\n\r\nhello", "in the middle"),
    (OK, "in the middle"),
    (b"", "in the middle"), (OK + b"Content-Length: 100001\r\n\r\n", "larger than 100000"), (for_ever, "larger than 100000"),
    (b"SSH-2.0-x\r\n\r\n", "502"), (OK + b"A: " + b"x" * 20_000, "502"), (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "502"),
    (b"HTTP/1.1 301 X\r\nLocation: https://127.0.0.1/\r\n\r\n", "is no http URL"),
    (b"HTTP/1.1 301 X\r\nLocation: http://[/\r\n\r\n", "Invalid IPv6"), (b"HTTP/1.1 301 X\r\nLocation: \xff\r\n\r\n", "ascii"),
])
def test_what_is_refused(answer, why):
    assert why in fetched(answer)[0]


def test_redirects_are_followed_three_times():
    turn = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/else?x\r\n\r\n"
    body, asked = fetched(turn, b"HTTP/1.1 307 X\r\nLocation: near\r\n\r\n", turn, OK + b"\r\nhere")
    assert body == b"here"
    assert [request.split()[1] for request in asked] == [b"/a?b=c", b"/else?x", b"/near", b"/else?x"]
    assert fetched(turn, turn, turn, turn, OK + b"\r\nhere")[0] == "it is redirected again and again"


def test_time_has_an_end():
    assert fetched(in_silence, most_s=0.05)[0] == "it takes longer than 0.05 s"


@pytest.mark.parametrize("url", ["https://h/", "ftp://h/", "http:///x", "http://h:0/", "http://h/a b", "http://h/\r\nx: y", "http://h:x/", "http://h\xe9/"])
def test_what_is_no_url(url):
    assert "is no http URL" in fetched(url=url)[0]


def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "connect" in fetched(url=f"http://127.0.0.1:{port}/")[0]
