"""Which addresses routes of a cluster may lead to: openshift-routes.md 2.3."""

import pytest

from edged.control.addresses import allowed, literal


@pytest.mark.parametrize("text", ["10.0.0.1", "2001:db8::1", "8.8.8.8", "::ffff:10.0.0.1", "::8.8.8.8", "fd00::1"])
def test_allowed(text: str) -> None:
    assert allowed(text)


@pytest.mark.parametrize("text", [
    "0.0.0.0", "::", "127.0.0.1", "127.9.9.9", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "239.1.1.1", "ff02::1",
    "168.63.129.16", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.1.1", "::127.0.0.1", "::169.254.169.254", "::ffff:168.63.129.16",
])
def test_filtered(text: str) -> None:
    assert not allowed(text)


@pytest.mark.parametrize(("text", "canonical"), [
    ("10.0.0.1", "10.0.0.1"), ("2001:DB8:0:0::1", "2001:db8::1"), ("10.0.0.01", None),
    ("localhost", None), ("1.2.3.4\0", None), ("١.2.3.4", None), ("fe80::1%eth0", None),
    ("", None),
])
def test_only_literals_are_addresses(text: str, canonical: str | None) -> None:
    found = literal(text)
    assert (found and found.text) == canonical
