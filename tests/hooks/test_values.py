"""How values of routes are written."""

import pytest

from edged.hooks.values import HSTS, host_flaw


@pytest.mark.parametrize("value", [
    "max-age=0", "max-age=31536000", 'max-age="100"', "max-age=1;includeSubDomains", "max-age=1 ; preload;includesubdomains",
    "preload;max-age=1", "includeSubDomains ; preload ; MAX-AGE = 1", "max-age=1;preload;preload",
])
def test_hsts_that_counts(value: str) -> None:
    assert HSTS.fullmatch(value)


@pytest.mark.parametrize("value", [
    "", "max-age", "max-age=", "max-age=-1", "max-age=1;", ";max-age=1", " max-age=1", "max-age=1 ", "max-age=1; foo", "includeSubDomains",
    "max-age=1 preload", 'max-age="1', "max-age=1\n", "max-age=1;max-age=2",
])
def test_hsts_that_does_not(value: str) -> None:
    assert not HSTS.fullmatch(value)


@pytest.mark.parametrize("host", ["a", "a.b", "1.2.3.4", "a-b.c", "x" * 63, ".".join(["x" * 61] * 4)])
def test_hosts(host: str) -> None:
    assert host_flaw(host) is None


@pytest.mark.parametrize("host", ["", ".", "a.", ".a", "a..b", "-a", "a-", "A", "a_b", "*", "*.a", "x" * 64, ".".join(["x" * 63] * 4),
    "ä", "a b", "a\n"])
def test_no_hosts(host: str) -> None:
    assert host_flaw(host) is not None
