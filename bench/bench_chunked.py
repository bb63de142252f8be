"""The chunked coding: what its framing costs, for small and for usual chunks."""

import pytest

from tests.doors import chunked_doors

TIMES = 100


def body(size, count):
    return b"".join(b"%x\r\n%s\r\n" % (size, bytes(size)) for _ in range(count)) + b"0\r\n\r\n"


@pytest.mark.parametrize(("size", "count"), [(1, 1000), (100, 100), (4096, 10)])
def test_body(benchmark, size, count):
    data = body(size, count)
    benchmark.group = f"{TIMES} bodies"
    assert benchmark(chunked_doors.decode, data, TIMES) == size * count * TIMES


def test_size_line(benchmark):
    assert benchmark(chunked_doors.size_line, 4096) == b"1000\r\n"
