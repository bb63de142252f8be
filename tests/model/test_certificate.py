"""Certificates and trusts: what tells them apart, and that no key shows."""

from dataclasses import replace

from edged.model.backend import Backend
from edged.model.certificate import Certificate, Trust
from edged.model.origin import Origin
from edged.model.route import Route

CHAIN = (b"leaf", b"issuer")


def test_a_certificate_is_what_it_is_made_of_wherever_it_was_read() -> None:
    one, other = Certificate.of(CHAIN, b"key", origin=Origin("a")), Certificate.of(CHAIN, b"key", origin=Origin("b", 5))
    assert one == other
    assert len({one, other}) == 1
    assert len(one.id) == 64


def test_every_part_counts_and_so_does_where_it_ends() -> None:
    parts = [
        (CHAIN, b"key", b""), ((b"leaf",), b"key", b""), ((b"issuer", b"leaf"), b"key", b""), (CHAIN, b"other", b""),
        (CHAIN, b"key", b"staple"),
        ((b"leafissuer",), b"key", b""), ((b"lea", b"fissuer"), b"key", b""), (CHAIN, b"", b"key"), ((*CHAIN, b"key"), b"", b""),
    ]
    assert len({Certificate.of(*some).id for some in parts}) == len(parts)


def test_no_key_shows() -> None:
    certificate = Certificate.of(CHAIN, b"SECRET-OF-ALL")
    route = Route("r", "h", "", Backend("b"), certificate=certificate)
    for shown in (repr(certificate), str(certificate), repr(route), f"{route}", repr(replace(route, host="x"))):
        assert "SECRET" not in shown


def test_a_certificate_may_be_known_by_its_id_alone() -> None:
    certificate = Certificate.of(CHAIN, b"key")
    by_id = Certificate(certificate.id, (), b"")
    assert by_id == certificate
    assert certificate.is_known
    assert not by_id.is_known


def test_a_trust_is_whom_it_believes_and_whether_it_asks() -> None:
    trusts = [*(Trust.of(some) for some in ((b"a",), (b"b",), (b"a", b"b"), (b"ab",))), Trust.of((b"a",), False), Trust.of((), False)]
    assert len({trust.id for trust in trusts}) == len(trusts)
    assert all(0 < trust.id < 1 << 64 for trust in trusts)
    assert Trust.of((b"a",)) == trusts[0]
