"""What control sends, taken as a whole or refused as a whole."""

import gc
import itertools
import logging
import os

import msgpack
import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from tests.doors.keyring_doors import agrees

from edged._fast.run.material import material_alive
from edged.model.certificate import Certificate, Trust
from edged.tls import store as rooms
from edged.tls.crl import read_crls
from edged.tls.store import CertificatesRefused, Store
from tests.tls.talk import certificate, table

NOTHING = {"certificates": {}, "forget": [], "names": {}, "alpn": [], "default": None, "trusts": {}, "forget_trusts": []}


def packed(one):
    return [list(one.chain), one.key, one.ocsp]


def memory_file(body):
    fd = os.memfd_create("certificates")
    os.write(fd, body)
    return fd


async def take(store, body=None, *, whole=False, **parts):
    """Send these parts, and nothing of the others."""
    fd = memory_file(msgpack.packb(NOTHING | parts) if body is None else body)
    try:
        return await store.take(fd, whole)
    finally:
        os.close(fd)


def play(scene, *args):
    async def main():
        store = Store(table())
        await scene(store, *args)

    with_no_trace(lambda: trio.run(main))


def with_no_trace(run):
    """All leaves that were made are gone afterwards."""
    gc.collect()
    before = material_alive()
    run()
    gc.collect()
    assert material_alive() == before


@pytest.fixture(scope="module")
def shop(authority):
    return certificate(authority.issue("shop", ["shop.example"]), ocsp=b"fine")


@pytest.fixture(scope="module")
def blog(authority):
    return certificate(authority.issue("blog", ["blog.example"], sort="rsa"))


@pytest.fixture(scope="module")
def many(authority):
    return [certificate(authority.issue(f"h{number}")) for number in range(20)]


def leaf_of(keyring, name):
    """The certificate that is shown; None: none."""
    served = keyring.find(name)
    return served and served.owner


def test_names_and_the_default(shop, blog):
    async def scene(store):
        keyring = await take(
            store, certificates={shop.id: packed(shop), blog.id: packed(blog)}, default=blog.id,
            names={"shop.example": shop.id, "*.shop.example": shop.id},
        )
        assert store.keyring is keyring
        assert len(keyring) == 2
        assert keyring.find(b"Shop.Example").ocsp == b"fine"
        assert leaf_of(keyring, b"shop.example") is leaf_of(keyring, b"a.shop.example")
        assert leaf_of(keyring, b"blog.example") is leaf_of(keyring, b"") is not leaf_of(keyring, b"shop.example")
        assert keyring.find(b"blog.example").ocsp == b""

    play(scene)


def test_one_of_many_is_replaced_and_the_others_are_not_touched(many, shop):
    async def scene(store):
        before = await take(
            store, certificates={one.id: packed(one) for one in many}, names={f"h{n}": one.id for n, one in enumerate(many)},
        )
        leaves = [leaf_of(before, f"h{n}".encode()) for n in range(20)]
        after = await take(store, certificates={shop.id: packed(shop)}, names={"h7": shop.id}, forget=[many[7].id])
        assert [n for n in range(20) if leaf_of(after, f"h{n}".encode()) is not leaves[n]] == [7]
        assert leaf_of(before, b"h7") is leaves[7]           # engines may still look at it
        assert after.find(b"h7").ocsp == b"fine"

    play(scene)


def test_a_name_that_is_withdrawn_shows_the_default(shop, blog):
    async def scene(store):
        await take(store, certificates={shop.id: packed(shop), blog.id: packed(blog)}, default=blog.id, names={"a": shop.id, "b": shop.id})
        keyring = await take(store, default=blog.id, names={"a": None, "never": None})
        assert leaf_of(keyring, b"a") is leaf_of(keyring, b"other")
        assert leaf_of(keyring, b"b") is not leaf_of(keyring, b"other")
        keyring = await take(store, names={"b": None}, forget=[shop.id, blog.id, "unknown"])
        assert [keyring.find(name) for name in (b"a", b"b", b"")] == [None, None, None]

    play(scene)


def test_protocols_are_agreed_on_for_the_names_that_say_so(shop):
    async def scene(store):
        keyring = await take(store, certificates={shop.id: packed(shop)}, names={"a": shop.id, "b": shop.id}, alpn=["a"])
        assert (agrees(keyring, b"a"), agrees(keyring, b"b")) == (True, False)
        keyring = await take(store, names={"a": shop.id, "c": shop.id}, alpn=["c"])
        assert [agrees(keyring, name) for name in (b"a", b"b", b"c")] == [False, False, True]

    play(scene)


def test_what_is_sent_again_is_kept(shop, blog):
    async def scene(store):
        parts = {"certificates": {shop.id: packed(shop)}, "names": {"shop.example": shop.id}, "default": shop.id}
        first = await take(store, whole=True, **parts)
        again = await take(store, whole=True, **parts)
        assert leaf_of(again, b"shop.example") is leaf_of(first, b"shop.example")
        other = await take(store, whole=True, certificates={blog.id: packed(blog)}, default=blog.id)
        assert len(other) == 0
        assert leaf_of(other, b"shop.example") is other.find(b"").owner

    play(scene)


def test_issuers_are_there_once(many):
    async def scene(store):
        keyring = await take(
            store, certificates={one.id: packed(one) for one in many}, names={f"h{n}": one.id for n, one in enumerate(many)},
        )
        assert len({leaf_of(keyring, f"h{n}".encode()).chain for n in range(20)}) == 1
        assert len(store._issuers._authorities) == 1
        del keyring
        await take(store, whole=True)
        assert len(store._issuers._authorities) == len(store._issuers._chains) == 0

    play(scene)


def test_a_leaf_without_issuers(authority):
    alone = certificate(authority.self_signed("alone.example"))

    async def scene(store):
        keyring = await take(store, certificates={alone.id: packed(alone)}, default=alone.id)
        assert keyring.find(b"").owner.chain is None

    play(scene)


def test_trusts(authority, other):
    trust = Trust.of((authority.root.certificate.public_bytes(Encoding.DER),))
    any_ = Trust.of((), verify=False)

    async def scene(store):
        await take(store, trusts={one.id: [list(one.authorities), one.verify] for one in (trust, any_)})
        first = dict(store._held.trusts)
        assert first.keys() == {trust.id, any_.id}
        await take(store, whole=True, trusts={trust.id: [list(trust.authorities), True]})
        assert store._held.trusts == {trust.id: first[trust.id]}
        await take(store, forget_trusts=[trust.id, 77])
        assert store._held.trusts == {}

    play(scene)


def test_lists_of_what_is_revoked(authority, other):
    mine, theirs = (tuple(one.der for one in read_crls(each.revocations().encode())) for each in (authority, other))

    async def scene(store):
        assert store.crls == {}
        await take(store, crls={"file:a": list(mine), "file:b": []})
        assert store.crls == {"file:a": mine, "file:b": ()}
        await take(store, crls={"file:b": list(theirs)})
        assert store.crls == {"file:a": mine, "file:b": theirs}
        await take(store)
        assert store.crls == {"file:a": mine, "file:b": theirs}
        for wrong in ({"file:a": [b"nonsense"]}, {"file:a": ["text"]}, {7: []}, {"file:a": 7}):
            with pytest.raises(CertificatesRefused):
                await take(store, crls=wrong)
        assert store.crls == {"file:a": mine, "file:b": theirs}
        await take(store, whole=True)
        assert store.crls == {}

    play(scene)


def spoilt(kept, shop, blog):
    """What is wrong, and what is said about it."""
    der, key = shop.chain[0], shop.key

    def entry(*parts):
        one = Certificate.of(*parts)
        return {"certificates": {one.id: packed(one)}}

    yield entry((der[:-1],), key), "this is no certificate"
    yield entry((der + b"\0",), key), "this is no certificate: something follows it"
    yield entry((b"",), key), "this is no certificate"
    yield entry((der, b"nonsense"), key), "this is no certificate"
    yield entry((der,), b"nonsense"), "this is no private key"
    yield entry((der,), key + b"\0"), "this is no private key: something follows it"
    yield entry((der,), b""), "this is no private key"
    yield entry((der,), blog.key), "the key is not that of the certificate"
    yield {"certificates": {shop.id: packed(blog)}}, "is another one than its id says"
    yield {"certificates": {shop.id: [[], shop.key, b""]}}, "what should be a certificate is none"
    yield {"certificates": {shop.id: [["text"], shop.key, b""]}}, "what should be a certificate is none"
    yield {"certificates": {shop.id: [[der, "text"], shop.key, b""]}}, "what should be a certificate's DER is none"
    yield {"certificates": {shop.id: [[der], shop.key]}}, "what should be a certificate is none"
    yield {"certificates": {7: packed(shop)}}, "what should be a certificate is none"
    yield {"certificates": [1]}, "Unexpected type header"
    yield {"names": {"a": "unknown"}}, "certificate unknown is not there"
    yield {"names": {"a": 7}}, "what should be the id of a certificate is none"
    yield {"names": {7: None}}, "what should be a host's name is none"
    yield {"names": {"bücher.example": None}}, "what should be a host's name is none"
    yield {"names": {"UPPER.example": kept.id}}, "no name in lower case"
    yield {"names": {"": kept.id}}, "no name in lower case"
    yield {"names": {"n" * 256: kept.id}}, "no name in lower case"
    yield {"alpn": [7]}, "what should be a host's name is none"
    yield {"default": "unknown"}, "certificate unknown is not there"
    yield {"default": 7}, "what should be the id of a certificate is none"
    yield {"forget": [kept.id]}, "is to be forgotten while it is in use"
    yield {"forget": [7]}, "what should be the id of a certificate is none"
    yield {"trusts": {7: [[], True]}}, "trust 7 is another one than its id says"
    yield {"trusts": {Trust.of((b"nonsense",)).id: [[b"nonsense"], True]}}, "an authority for endpoints is no certificate"
    yield {"trusts": {"7": [[], True]}}, "what should be a trust is none"
    yield {"trusts": {7: [[], 1]}}, "what should be a trust is none"
    yield {"forget_trusts": ["7"]}, "what should be the id of a trust is none"
    yield {"surprise": 1}, "nobody knows what 'surprise' of certificates is"


def test_what_is_wrong_is_refused_as_a_whole(shop, blog, many):
    kept, good = many[:2]
    fine = {"certificates": {good.id: packed(good)}, "names": {"good": good.id}, "default": kept.id}

    async def scene(store):
        before = await take(store, certificates={kept.id: packed(kept)}, names={"kept": kept.id}, default=kept.id)
        made = material_alive()
        for wrong, told in spoilt(kept, shop, blog):
            parts = fine | wrong
            for part in ("certificates", "names"):
                if isinstance(wrong.get(part), dict):
                    parts[part] = fine[part] | wrong[part]
            with pytest.raises(CertificatesRefused, match=told):
                await take(store, **parts)
            assert store.keyring is before
            assert len(before) == 1
        gc.collect()
        assert material_alive() == made
        assert len(await take(store, **fine)) == 2

    play(scene)


BODIES = [
    b"", b"nonsense", msgpack.packb([1]), msgpack.packb(NOTHING) + b"\0",
    b"\xdf\xff\xff\xff\xff",                      # a map of four thousand million entries
]


def test_an_entry_that_is_larger_than_any_is_refused(monkeypatch, shop):
    monkeypatch.setattr(rooms, "ENTRY_MOST_BYTES", rooms.READ_BYTES)

    async def scene(store):
        await take(store, certificates={shop.id: packed(shop)})
        with pytest.raises(CertificatesRefused):
            await take(store, certificates={"a": b"x" * rooms.READ_BYTES})

    play(scene)


@pytest.mark.parametrize("body", BODIES)
def test_files_that_hold_something_else_are_refused(body):
    async def scene(store):
        with pytest.raises(CertificatesRefused):
            await take(store, body)

    play(scene)


def test_a_file_that_is_cut_anywhere_is_refused(shop):
    body = msgpack.packb(NOTHING | {"certificates": {shop.id: packed(shop)}, "names": {"a": shop.id}, "default": shop.id})

    async def scene(store):
        for cut in range(len(body)):
            with pytest.raises(CertificatesRefused):
                await take(store, body[:cut])
        await take(store, body)

    play(scene)


def test_a_thousand_replacements_leave_no_more_than_one(many, authority):
    async def scene(store):
        await take(store, certificates={one.id: packed(one) for one in many}, names={f"h{n}": one.id for n, one in enumerate(many)})
        made = material_alive()
        pair = [certificate(authority.issue("changing")) for _ in range(2)]
        ring = [many[0], *pair]
        for step in range(1000):
            old, new = ring[step % 3], ring[(step + 1) % 3]
            await take(store, certificates={new.id: packed(new)}, names={"h0": new.id}, forget=[old.id])
        assert material_alive() == made
        assert len(store._held.certificates) == len(store._held.names) == 20

    play(scene)


def test_others_go_on_meanwhile(many, monkeypatch):
    monkeypatch.setattr(rooms, "PIECE_S", 0)

    async def scene(store):
        turns = itertools.count()

        async def others():
            while True:
                await trio.lowlevel.checkpoint()
                next(turns)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await take(store, certificates={one.id: packed(one) for one in many}, names={f"h{n}": one.id for n, one in enumerate(many)})
            nursery.cancel_scope.cancel()
        assert next(turns) >= 2 * len(many)

    play(scene)


def test_one_that_is_cancelled_changes_nothing(many, monkeypatch):
    monkeypatch.setattr(rooms, "PIECE_S", 0)

    async def scene(store):
        before = store.keyring
        for steps in range(30):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, steps, scope)
                    await take(store, certificates={one.id: packed(one) for one in many}, names={"a": many[0].id})
            assert scope.cancelled_caught == (store.keyring is before)
            if store.keyring is not before:
                return
        assert store.keyring is before

    play(scene)


async def cancel_after(steps, scope):
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


def test_progress_with_many_is_told(many, monkeypatch, caplog):
    monkeypatch.setattr(rooms, "TOLD_LEAST", 20)
    monkeypatch.setattr(rooms, "TOLD_S", 0)
    caplog.set_level(logging.INFO)

    async def scene(store):
        await take(store, certificates={one.id: packed(one) for one in many})

    play(scene)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "1 of 20 certificates"
    assert lines[-1].startswith("20 certificates are ready after 0.")
