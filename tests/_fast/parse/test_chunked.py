"""The chunked coding: whole, in pieces, and broken in every way of http-edge-behaviour.md 2."""

import pytest
from tests.doors.chunked_doors import Decoder, size_line

from edged._fast.parse.chunked import ChunkError, read_chunked

GOOD = [
    (b"0\r\n\r\n", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, b""),
    (b"0005\r\nhello\r\n000\r\n\r\n", b"hello", b""),
    (b"0000000000000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"5 \t \r\nhello\r\n0 \r\n\r\n", b"hello", b""),
    (b"5;\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"5 ; a = b;c;d=\"e\\\"f;\r\";\r\nhello\r\n0\r\n\r\n".replace(b"\r\"", b"\t\""), b"hello", b""),
    (b"5;a=\"\xe4\\\x80\"\r\nhello\r\n0;last\r\n\r\n", b"hello", b""),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", b""),
    (b"0\r\nX: y\r\n\r\n", b"", b"X: y\r\n"),
    (b"5\r\nhello\r\n0\r\nX:\r\nContent-Length: 7\r\nHost: \ta\xff \r\n\r\n", b"hello", b"X:\r\nContent-Length: 7\r\nHost: \ta\xff \r\n"),
]
BAD = [
    b"\r\n", b"\n", b"x", b"-5", b"+5", b" 5", b"0x5\r\n", b";a\r\n", b"g\r\n", b"5g", b"5 5\r\n", b"5,", b"5\x00", b"5\x0b\r\n", b"5\x80",
    b"5\n", b"5\r5", b"5\r\r\n", b"5 \n", b"5;a\n", b"5;a\rb", b"5;a\x00", b"5;a\x7f", b"5;a\x1f", b"5;a\\b", b"5;\\", b"5;a=\"\r\n",
    b"5;a=\"b\\\r\n",
    b"5;a=\"b\n", b"5;a=\"\x00\"", b"5;a=\"b\\\x00",
    b"10000000000000", b"fffffffffffffff0\r\n", b"fffffffffffffffffffff\r\n", b"0010000000000000\r\n",
    b"5\r\nhello0", b"5\r\nhello\n", b"5\r\nhello\rX", b"5\r\nhello \r\n", b"5\r\nhello\r\n\r\n",
    b"0\r\n\n", b"0\r\n\rX", b"0\r\n X: y\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\n: y\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\nX: y\n",
    b"0\r\nX: a\x00b\r\n",
    b"0\r\nX: a\rb\r\n", b"0\r\nX: y\r\n folded\r\n\r\n", b"0\r\nX: y\r\n\n", b"0\r\nGET / HTTP/1.1\r\n\r\n", b"0\r\nX\x80: y\r\n",
]


@pytest.mark.parametrize(("data", "payload", "trailers"), GOOD)
def test_a_body(data, payload, trailers):
    assert read_chunked(data + b"next") == (payload, trailers, len(data))


@pytest.mark.parametrize(("data", "payload", "trailers"), GOOD)
def test_a_body_cut_anywhere(data, payload, trailers):
    for cut in range(len(data)):
        assert read_chunked(data[:cut]) is None
        decoder = Decoder()
        decoder.feed(data[:cut])
        assert not decoder.over
        left = decoder.feed(data[cut:] + b"next")
        assert (decoder.over, decoder.payload, decoder.trailers, left) == (True, payload, trailers, 4)


@pytest.mark.parametrize(("data", "payload", "trailers"), GOOD)
def test_a_body_that_drips_in(data, payload, trailers):
    decoder = Decoder()
    for i in range(len(data)):
        assert not decoder.over
        decoder.feed(data[i:i + 1])
    assert (decoder.over, decoder.payload, decoder.trailers, decoder.why) == (True, payload, trailers, None)
    assert decoder.feed(b"next") == 4
    assert decoder.over


@pytest.mark.parametrize("data", BAD)
def test_a_broken_body(data):
    with pytest.raises(ChunkError):
        read_chunked(data)
    decoder = Decoder()
    for i in range(len(data)):
        decoder.feed(data[i:i + 1])
    assert decoder.why
    decoder.feed(b"0\r\n\r\n")
    assert not decoder.over, "a broken body must stay so"


def test_sizes_up_to_52_bits():
    decoder = Decoder()
    decoder.feed(b"fffffffffffff\r\n")
    assert decoder.why is None
    decoder = Decoder()
    decoder.feed(b"00fffffffffffff\r\n")
    assert decoder.why is None


def test_the_size_line_has_a_limit():
    assert read_chunked(b"5;" + b"x" * 1020 + b"\r\nhello\r\n0\r\n\r\n")[0] == b"hello"
    for line in (b"5;" + b"x" * 1023, b"0" * 1025, b"5" + b" " * 1024, b"5;\"" + b"\\x" * 511):
        with pytest.raises(ChunkError, match="too long"):
            read_chunked(line)


def test_trailers_have_a_limit():
    data = b"0\r\nX: " + b"y" * 20 + b"\r\n\r\n"
    room = len(data) - 3
    assert read_chunked(data, trailer_most=room)[1] == data[3:-2]
    for most in (room - 1, room - 2, 10, 1):
        with pytest.raises(ChunkError, match="too large"):
            read_chunked(data, trailer_most=most)
    with pytest.raises(ChunkError, match="too large"):
        read_chunked(data[:-1], trailer_most=room - 1)
    assert read_chunked(data[:-1], trailer_most=room) is None


def test_trailers_stay_in_the_buffer_until_they_are_whole():
    decoder = Decoder()
    assert decoder.feed(b"0\r\nX: y\r\nZ") == len(b"X: y\r\nZ")
    assert decoder.feed(b": a\r\n\r") == len(b"X: y\r\nZ: a\r\n\r")
    assert decoder.feed(b"\n") == 0
    assert decoder.trailers == b"X: y\r\nZ: a\r\n"


@pytest.mark.parametrize("n", [1, 9, 10, 15, 16, 255, 256, 4096, 65535, 2**32, 2**52 - 1, 2**63, 2**64 - 1])
def test_size_lines_as_we_write_them(n):
    assert size_line(n) == b"%x\r\n" % n
