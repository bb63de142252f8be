"""Requests and answers, framed every way, whole and in pieces: what goes on to the endpoint and what comes back."""

from typing import NamedTuple

import pytest

from edged.model.backend import Backend, Endpoint
from edged.model.policy import Cookie
from edged.model.route import Route
from tests._fast.talk.scene import CHUNKED, GET, OK, POST, Stage, ended, head_of, site, stage, unchunked

__all__ = ["stage"]

LONG = bytes(range(256)) * 400                   # more than a block, more than what is copied along with a head


class Talk(NamedTuple):
    """One exchange. Bodies are compared as payload, since chunks may be cut anew."""

    asked: bytes
    answered: bytes
    at_endpoint: bytes                           # payload that the endpoint gets
    at_client: bytes
    status: int = 200
    client_stays: bool = True
    endpoint_stays: bool = True
    fin: bool = False                            # the endpoint ends its direction behind the answer


def answer(fields: bytes, body: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n" + body


def ask(method: bytes = b"GET", fields: bytes = b"", body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return method + b" /x HTTP/" + version + b"\r\nHost: a.test\r\n" + fields + b"\r\n" + body


TWO_CHUNKS = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n"
LENGTH_7 = b"Content-Length: 7\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
KEEP = b"Connection: keep-alive\r\n"

TALKS = {
    "a length": Talk(GET, OK, b"", b"hi"),
    "no body": Talk(GET, answer(b"Content-Length: 0\r\n"), b"", b""),
    "chunks": Talk(GET, answer(TE, TWO_CHUNKS + b"\r\n"), b"", b"abcdefg"),
    "chunks with trailers": Talk(GET, answer(TE, TWO_CHUNKS + b"x-sum: 1\r\nx-two: 2\r\n\r\n"), b"", b"abcdefg"),
    "until the end": Talk(GET, answer(b"", b"abcdefg"), b"", b"abcdefg", client_stays=False, endpoint_stays=False, fin=True),
    "an empty body until the end": Talk(GET, answer(b""), b"", b"", client_stays=False, endpoint_stays=False, fin=True),
    "HEAD with a length": Talk(ask(b"HEAD"), answer(LENGTH_7), b"", b""),
    "HEAD with chunks": Talk(ask(b"HEAD"), answer(TE), b"", b""),
    "HEAD with nothing": Talk(ask(b"HEAD"), answer(b""), b"", b""),
    "204": Talk(GET, answer(b"", status=b"204 No Content"), b"", b"", 204),
    "304 with a length": Talk(GET, answer(LENGTH_7, status=b"304 Not Modified"), b"", b"", 304),
    "205 with a body": Talk(GET, answer(LENGTH_7, b"abcdefg", b"205 Reset"), b"", b"abcdefg", 205),
    "a body with length": Talk(POST, OK, b"hello", b"hi"),
    "a body in chunks": Talk(CHUNKED, OK, b"hello", b"hi"),
    "chunks with trailers to the endpoint": Talk(ask(b"PUT", TE, TWO_CHUNKS + b"x-sum: 1\r\n\r\n"), OK, b"abcdefg", b"hi"),
    "an empty chunked body": Talk(ask(b"POST", TE, b"0\r\n\r\n"), OK, b"", b"hi"),
    "Content-Length: 0": Talk(ask(b"POST", b"Content-Length: 0\r\n"), OK, b"", b"hi"),
    "the client closes": Talk(ask(fields=b"Connection: close\r\n"), OK, b"", b"hi", client_stays=False),
    "the endpoint closes": Talk(GET, answer(b"Content-Length: 2\r\nConnection: close\r\n", b"hi"), b"", b"hi", endpoint_stays=False),
    "an endpoint of 1.0": Talk(GET, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"", b"hi", endpoint_stays=False),
    "an endpoint of 1.0 that stays": Talk(GET, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", b"", b"hi"),
    "a client of 1.0": Talk(ask(version=b"1.0"), OK, b"", b"hi", client_stays=False),
    "a client of 1.0 that stays": Talk(ask(fields=KEEP, version=b"1.0"), OK, b"", b"hi"),
    "chunks to a client of 1.0": Talk(ask(fields=KEEP, version=b"1.0"), answer(TE, TWO_CHUNKS + b"x-sum: 1\r\n\r\n"), b"", b"abcdefg",
                                      client_stays=False),
    "interim answers": Talk(GET, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"", b"hi"),
    "no interim answers to 1.0": Talk(ask(version=b"1.0"), b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"", b"hi",
                                      client_stays=False),
    "100-continue": Talk(ask(b"POST", b"Expect: 100-continue\r\n" + LENGTH_7, b"abcdefg"), b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
                         b"abcdefg", b"hi"),
    "empty lines before": Talk(b"\r\n\r\n" + GET, b"\r\n" + OK, b"", b"hi"),
    "a long answer": Talk(GET, answer(b"Content-Length: %d\r\n" % len(LONG), LONG), b"", LONG),
    "a long body": Talk(ask(b"POST", b"Content-Length: %d\r\n" % len(LONG), LONG), OK, LONG, b"hi"),
    "one large chunk": Talk(GET, answer(TE, b"%x\r\n" % len(LONG) + LONG + b"\r\n0\r\n\r\n"), b"", LONG),
    "one large chunk to the endpoint": Talk(ask(b"POST", TE, b"%x\r\n" % len(LONG) + LONG + b"\r\n0\r\n\r\n"), OK, LONG, b"hi"),
    "one large chunk to 1.0": Talk(ask(version=b"1.0"), answer(TE, b"%x\r\n" % len(LONG) + LONG + b"\r\n0\r\n\r\n"), b"", LONG,
                                   client_stays=False),
    "long until the end": Talk(GET, answer(b"", LONG), b"", LONG, client_stays=False, endpoint_stays=False, fin=True),
    "many small chunks": Talk(GET, answer(TE, b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"), b"", b"x" * 5000),
}


def payload(data: bytes) -> tuple[str, dict[str, str], bytes, bytes]:
    """(first line, fields, payload, trailers) of a whole message; interim ones before it are put into the first line."""
    first, fields, rest = head_of(data)
    while first.rpartition(" / ")[2].startswith("HTTP/1.1 1"):
        then, fields, rest = head_of(rest)
        first += " / " + then
    body, trailers = unchunked(rest) if "transfer-encoding" in fields and rest else (rest, b"")
    return first, fields, body, trailers


def play_out(stage: Stage, talk: Talk, asked_cut: int = 0, answered_cut: int = 0, step: int = 0, **options) -> tuple[bytes, bytes]:
    """(what the endpoint got, what the client got), and all that must be true afterwards. `step`: pieces of that size."""
    play = stage(**options)
    client = play.client()
    for piece in pieces(talk.asked, asked_cut, step):
        client.send(piece)
    assert len(play.servers) == 1
    for piece in pieces(talk.answered, answered_cut, step):
        play.server.send(piece)
    if talk.fin:
        play.server.fin()
    at_endpoint, at_client = play.server.take(), client.take()
    assert payload(at_endpoint)[2] == talk.at_endpoint
    assert payload(at_client)[2] == talk.at_client
    assert f" {talk.status} " in payload(at_client)[0]
    assert ended(play) == [(talk.status, "--")]
    assert (client.state == "idle") == talk.client_stays
    assert play.server.open == talk.endpoint_stays
    return at_endpoint, at_client


def pieces(data: bytes, cut: int, step: int) -> list[bytes]:
    if step:
        return [data[i:i + step] for i in range(0, len(data), step)]
    return [piece for piece in (data[:cut], data[cut:]) if piece] if cut else [data]


@pytest.mark.parametrize("pipes", [False, True], ids=["copied", "piped"])
@pytest.mark.parametrize("name", TALKS)
def test_an_exchange_in_one_piece(stage, name, pipes):
    play_out(stage, TALKS[name], pipes=pipes)


@pytest.mark.parametrize("name", [name for name, talk in TALKS.items() if len(talk.asked) + len(talk.answered) < 1000])
def test_an_exchange_cut_at_any_byte_is_the_same(stage, name):
    talk = TALKS[name]
    whole = [payload(data) for data in play_out(stage, talk)]
    for cut in range(1, len(talk.asked)):
        assert [payload(data) for data in play_out(stage, talk, asked_cut=cut)] == whole, cut
    for cut in range(1, len(talk.answered)):
        assert [payload(data) for data in play_out(stage, talk, answered_cut=cut)] == whole, cut
    assert [payload(data) for data in play_out(stage, talk, step=1)] == whole


@pytest.mark.parametrize("step", [7, 4096, 16384, 20000])
@pytest.mark.parametrize("pipes", [False, True], ids=["copied", "piped"])
@pytest.mark.parametrize("name", [name for name, talk in TALKS.items() if len(talk.asked) + len(talk.answered) >= 1000])
def test_a_long_exchange_in_pieces_is_the_same(stage, name, pipes, step):
    talk = TALKS[name]
    assert [payload(data)[2] for data in play_out(stage, talk, step=step, pipes=pipes)] == [talk.at_endpoint, talk.at_client]


@pytest.mark.parametrize("buffer", [4096, 8192])
@pytest.mark.parametrize("name", TALKS)
def test_small_blocks_will_do(stage, name, buffer):
    play_out(stage, TALKS[name], buffer=buffer, head_bytes=3072)


# ---- framing, as it is written anew -----------------------------------------------------------------------------------


def exchanged(stage: Stage, asked: bytes, answered: bytes, **options):
    play = stage(**options)
    client = play.client(asked)
    play.server.send(answered)
    return payload(play.server.take()), payload(client.take())


def test_a_chunked_body_stays_chunked_and_a_length_stays_a_length(stage):
    there, back = exchanged(stage, CHUNKED, answer(TE, TWO_CHUNKS + b"\r\n"))
    assert (there[1].get("transfer-encoding"), there[1].get("content-length")) == ("chunked", None)
    assert (back[1].get("transfer-encoding"), back[1].get("content-length")) == ("chunked", None)
    there, back = exchanged(stage, POST, OK)
    assert (there[1].get("transfer-encoding"), there[1].get("content-length")) == (None, "5")
    assert (back[1].get("transfer-encoding"), back[1].get("content-length")) == (None, "2")


def test_trailers_pass_both_ways(stage):
    asked = ask(b"PUT", TE, TWO_CHUNKS + b"x-sum: 1\r\n\r\n")
    there, back = exchanged(stage, asked, answer(TE, TWO_CHUNKS + b"x-sum: 2\r\n\r\n"))
    assert (there[3], back[3]) == (b"x-sum: 1\r\n", b"x-sum: 2\r\n")


def test_extensions_of_chunks_do_not_pass(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(answer(TE, TWO_CHUNKS + b"\r\n"))
    assert b"x=y" not in client.take()


def test_a_204_loses_its_framing_and_a_304_keeps_it(stage):
    _, back = exchanged(stage, GET, answer(b"Content-Length: 0\r\n", status=b"204 No Content"))
    assert "content-length" not in back[1]
    _, back = exchanged(stage, GET, answer(LENGTH_7, status=b"304 Not Modified"))
    assert back[1]["content-length"] == "7"


def test_what_the_connection_says_is_for_this_leg_alone(stage):
    asked = ask(fields=b"Connection: close, x-hop\r\nX-Hop: 1\r\n")
    there, back = exchanged(stage, asked, answer(b"Content-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n", b"hi"))
    assert "x-hop" not in there[1]
    assert "connection" not in there[1]
    assert back[1]["connection"] == "close"
    assert "keep-alive" not in back[1]


@pytest.mark.parametrize(("fields", "word"), [(b"", "close"), (KEEP, "keep-alive")])
def test_a_client_of_1_0_is_told_whether_it_may_stay(stage, fields, word):
    _, back = exchanged(stage, ask(fields=fields, version=b"1.0"), OK)
    assert back[1]["connection"] == word


def test_a_body_until_the_end_is_announced_as_such(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(answer(b"", b"abc"))
    assert head_of(client.take())[1]["connection"] == "close"
    assert client.open
    play.server.send(b"def").fin()
    assert client.take() == b"def"
    assert not client.open


# ---- one after another ------------------------------------------------------------------------------------------------


def test_fifty_requests_in_one_piece_are_answered_one_by_one(stage):
    play = stage()
    client = play.client(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % i for i in range(50)))
    for i in range(50):
        assert head_of(play.server.take())[0] == f"GET /{i} HTTP/1.1"
        play.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d" % i)
        assert client.take().endswith(b"%02d" % i)
    assert len(play.servers) == 1
    assert client.state == "idle"


def test_a_pipelined_request_behind_a_body(stage):
    play = stage()
    client = play.client(POST + CHUNKED + GET)
    for body in (b"hello", b"hello", b""):
        assert payload(play.server.take())[2] == body
        play.server.send(OK)
    assert [status for status, _ in ended(play)] == [200, 200, 200]
    assert client.take().count(b"200 OK") == 3


def test_what_follows_a_request_to_close_is_not_read_as_a_request(stage):
    play = stage()
    client = play.client(ask(fields=b"Connection: close\r\n") + GET)
    play.server.send(OK)
    assert len(ended(play)) == 1
    assert client.take().count(b"HTTP/1.1 ") == 1
    client.fin()
    assert client.end == "closed"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        pytest.param(GET, OK + OK, id="a second answer"),
        pytest.param(GET, OK + b"x", id="one byte too many"),
        pytest.param(ask(b"HEAD"), answer(LENGTH_7, b"abcdefg"), id="a body for HEAD"),
        pytest.param(GET, answer(LENGTH_7, b"abcdefg", b"304 Not Modified"), id="a body with 304"),
        pytest.param(GET, answer(LENGTH_7, b"abcdefg", b"204 No Content"), id="a body with 204"),
        pytest.param(GET, answer(TE, b"0\r\n\r\nHTTP/1.1 200 OK\r\n"), id="behind the last chunk"),
    ],
)
def test_what_nobody_asked_for_reaches_nobody(stage, asked, answered):
    play = stage()
    client = play.client(asked)
    play.server.send(answered)
    got = client.take()
    assert got.count(b"HTTP/1.1 ") == 1
    assert not play.server.open
    client.send(GET)
    assert len(play.servers) == 2
    play.server.send(OK)
    assert payload(client.take())[2] == b"hi"


def test_length_and_chunks_together_in_an_answer(stage):
    """RFC 9112 6.3: chunks overrule, and the endpoint's connection is not used again."""
    play = stage()
    client = play.client(GET)
    play.server.send(answer(TE + LENGTH_7, TWO_CHUNKS + b"\r\n"))
    _first, fields, body, _ = payload(client.take())
    assert (body, "content-length" in fields) == (b"abcdefg", False)
    assert not play.server.open


def test_an_endpoint_may_answer_before_it_has_read_the_request(stage):
    play = stage()
    client = play.client(ask(b"POST", b"Content-Length: 100\r\n", b"x" * 10))
    play.server.send(answer(b"Content-Length: 3\r\n", b"no!", b"413 Content Too Large"))
    assert payload(client.take())[:1] == ("HTTP/1.1 413 Content Too Large",)
    assert client.state == "linger"
    assert not play.server.open
    client.send(b"x" * 90).fin()
    assert client.end == "closed"


def test_a_body_goes_on_while_the_answer_comes(stage):
    play = stage()
    client = play.client(ask(b"POST", b"Content-Length: 10\r\n", b"01234"))
    play.server.send(answer(b"Content-Length: 10\r\n", b"01234"))
    client.send(b"56789")
    assert play.server.take().endswith(b"0123456789")
    play.server.send(b"56789")
    assert client.take().endswith(b"0123456789")
    assert client.state == "idle"
    assert play.server.open


def test_the_sticky_cookie_is_set_and_followed(stage):
    be = Backend("sticky", tuple(Endpoint(f"192.0.2.{i}", 80, name, cookie=f"c-{name}") for i, name in enumerate("ab", 10)))
    table = site(more=(Route("s", "s.test", "", be, cookie=Cookie("st")),))
    play = stage(table)
    client = play.client(b"GET / HTTP/1.1\r\nHost: s.test\r\n\r\n")
    play.server.send(OK)
    assert head_of(client.take())[1]["set-cookie"].startswith("st=c-a")
    for _ in range(3):
        client.send(b"GET / HTTP/1.1\r\nHost: s.test\r\nCookie: st=c-b\r\n\r\n")
        assert play.server.endpoint == "b"
        play.server.send(OK)
        assert "set-cookie" not in head_of(client.take())[1]
    client.send(b"GET / HTTP/1.1\r\nHost: s.test\r\nCookie: st=gone\r\n\r\n")
    client.back.send(OK)
    assert [entry["code"][2:] for entry in play.log] == ["NI", "VN", "VN", "VN", "II"]
