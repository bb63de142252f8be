"""What a worker has to learn from one picture to the next."""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from edged.control.certificates import Picture
from edged.control.parcel import Parcels, contents
from edged.hooks import Certificate, Trust

A, B, C = (Certificate.of((word, b"issuer"), b"key of " + word, staple) for word, staple in ((b"A", b""), (b"B", b"staple"), (b"C", b"")))
ONE, TWO = Trust.of((b"ca",)), Trust.of(verify=False)


def picture(
    version: int, names: Mapping[str, Certificate], *, alpn: str = "", default: Certificate | None = None,
    trusts: tuple[Trust, ...] = (), whole: bool = True,
) -> Picture:
    return Picture(version, names, frozenset(alpn.split()), default, {trust.id: trust for trust in trusts}, whole)


FIRST = picture(1, {"a": A, "*.b": B, "again": A}, alpn="*.b", default=C, trusts=(ONE,))


def test_a_new_worker_is_told_everything_once() -> None:
    assert contents(None, FIRST) == {
        "certificates": {
            A.id: [(b"A", b"issuer"), b"key of A", b""], B.id: [(b"B", b"issuer"), b"key of B", b"staple"],
            C.id: [(b"C", b"issuer"), b"key of C", b""],
        },
        "forget": [], "names": {"a": A.id, "*.b": B.id, "again": A.id}, "alpn": ["*.b"], "default": C.id,
        "trusts": {ONE.id: [(b"ca",), True]}, "forget_trusts": [], "crls": {},
    }


def test_later_only_what_changed() -> None:
    nothing: dict[str, Any] = {
        "certificates": {}, "forget": [], "names": {}, "alpn": [], "default": C.id, "trusts": {}, "forget_trusts": [],
        "crls": {},
    }
    assert contents(FIRST, FIRST) == nothing
    less = picture(2, {"a": A, "again": A}, default=C, trusts=(ONE,))
    assert contents(FIRST, less) == nothing | {"forget": [B.id], "names": {"*.b": None}}
    other = picture(2, {"a": B, "*.b": B, "again": A}, alpn="*.b", default=C, trusts=(TWO,))
    assert contents(FIRST, other) == nothing | {
        "names": {"a": B.id}, "trusts": {TWO.id: [(), False]}, "forget_trusts": [ONE.id],
    }
    none = picture(2, {"a": A, "*.b": B, "again": A}, alpn="*.b", trusts=(ONE,))
    assert contents(FIRST, none) == nothing | {"default": None, "forget": [C.id]}


def test_a_name_is_told_again_when_only_its_alpn_changed() -> None:
    turned = picture(2, FIRST.names, alpn="a", default=C, trusts=(ONE,))
    told = contents(FIRST, turned)
    assert (told["names"], told["alpn"], told["certificates"]) == ({"*.b": B.id, "a": A.id}, ["a"], {})


def test_what_is_revoked_is_told_source_by_source() -> None:
    more = replace(FIRST, crls={"file:/a": (b"1", b"2"), "points:/b": (b"3",)})
    assert contents(None, more)["crls"] == contents(FIRST, more)["crls"] == {"file:/a": (b"1", b"2"), "points:/b": (b"3",)}
    other = replace(FIRST, crls={"file:/a": (b"2",), "points:/b": (b"3",)})
    assert contents(more, other)["crls"] == {"file:/a": (b"2",)}
    assert contents(other, other)["crls"] == {}


def test_while_the_picture_is_not_whole_nothing_is_forgotten() -> None:
    """What is not known here may be the very certificate, under another name."""
    told = contents(picture(1, {"a": A}, trusts=(ONE,), whole=False), picture(2, {"a": B}, whole=False))
    assert (told["names"], told["forget"], told["forget_trusts"]) == ({"a": B.id}, [], [])


@pytest.mark.parametrize(("old", "new", "whole"), [
    (None, FIRST, True), (FIRST, FIRST, False), (None, picture(1, {}, whole=False), False),
])
def test_the_message_says_whether_all_from_before_is_over(old: Picture | None, new: Picture, whole: bool) -> None:
    parcels = Parcels()
    parcel = parcels.pack(old, new)
    os.close(parcel.fd)
    parcels.forget()
    assert parcel.message == {"type": "certificates", "version": 1, "whole": whole}


def test_the_file_is_sealed_and_packed_once_for_all_workers() -> None:
    parcels = Parcels()
    one, two = parcels.pack(None, FIRST), parcels.pack(None, FIRST)
    assert os.fstat(one.fd).st_ino == os.fstat(two.fd).st_ino
    assert (one.certificates, one.size_bytes) == (3, os.fstat(one.fd).st_size)
    assert msgpack.unpackb(os.pread(one.fd, 1 << 20, 0), strict_map_key=False)["names"]["a"] == A.id
    wanted = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    assert fcntl.fcntl(one.fd, fcntl.F_GET_SEALS) & wanted == wanted
    with pytest.raises(PermissionError):
        os.write(one.fd, b"x")
    parcels.forget()
    three = parcels.pack(None, FIRST)
    assert os.fstat(three.fd).st_ino != os.fstat(one.fd).st_ino
    parcels.forget()
    for parcel in (one, two, three):
        os.close(parcel.fd)
