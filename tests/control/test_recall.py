"""What was served last, on disk and back."""

import contextlib
import logging
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import trio
import trio.testing

from edged.control.recall import FILE, Recall, read_recall
from edged.hooks import (
    Backend,
    Certificate,
    Cookie,
    Endpoint,
    HeaderAction,
    Insecure,
    Origin,
    Route,
    Termination,
    Timeouts,
    Trust,
    pack_routes,
    unpack_routes,
)
from edged.model.state import State
from tests.control.given import play, route, until

FULL = route(
    "ns/full", "x.example.com", "/p", to=["127.0.0.1:1", "2001:db8::1:2"], wildcard=True, termination=Termination.EDGE,
    insecure=Insecure.ALLOW, cookie=Cookie("c", True, "Lax"), rewrite="/r", hsts="max-age=1", namespace="ns", uid="u", created_s=1.5,
    request_headers=(HeaderAction("a", "b"), HeaderAction("c")), max_body_bytes=9, where="f.yaml", line=7,
    certificate=Certificate.of((b"leaf", b"issuer"), b"the secret key", b"staple", Origin("f.pem", 3)),
)
SECURED = Backend(
    "secured", (Endpoint("10.0.0.1", 1, "e", server_name="s.ns.svc"),), trust=Trust.of((b"ca",)), check_name=True, send_sni=True,
)


def test_routes_packed_are_the_same_unpacked() -> None:
    assert unpack_routes(pack_routes([FULL, route("short")])) == (FULL, route("short"))


def test_every_field_of_the_model_is_packed() -> None:
    """A field that is added to the model has to be added to the packing too."""
    (again,) = unpack_routes(pack_routes([FULL]))
    assert {name for name in Route.__dataclass_fields__ if getattr(again, name) != getattr(FULL, name)} == set()
    times = Timeouts(*range(1, len(Timeouts.__dataclass_fields__) + 1))
    (again,) = unpack_routes(pack_routes([route("t", backend=type(FULL.backend)("b", timeouts=times))]))
    assert again.backend.timeouts == times
    (again,) = unpack_routes(pack_routes([route("t", backend=SECURED)]))
    assert {name for name in Backend.__dataclass_fields__ if getattr(again.backend, name) != getattr(SECURED, name)} == set()
    assert (again.backend.trust.authorities, again.backend.trust.verify) == ((b"ca",), True)
    assert again.backend.endpoints[0].server_name == "s.ns.svc"


def test_certificates_are_packed_whole_or_by_their_ids_alone() -> None:
    for keys in (True, False):
        packed = pack_routes([FULL, FULL, route("bare")], keys=keys)
        assert packed.count(b"the secret key") == packed.count(b"issuer") == packed.count(b"staple") == keys
        one, two, bare = (again.certificate for again in unpack_routes(packed))
        assert one is two
        assert bare is None
        assert one == FULL.certificate
        assert str(one.origin) == "f.pem:3"
        assert (one.chain, one.key, one.ocsp) == (((b"leaf", b"issuer"), b"the secret key", b"staple") if keys else ((), b"", b""))


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x00", msgpack.packb([0, []]), msgpack.packb([1, [5]]), msgpack.packb([1, [[1]]])])
def test_what_is_no_packed_routes_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"packed|no packed|unpack|Unpack|data"):
        unpack_routes(packed)


def kept(directory: Path, state: State, places: dict[str, str]) -> Recall:
    return Recall(str(directory), lambda: state, lambda: places)


def test_written_and_read(tmp_path: Path) -> None:
    routes = tuple(route(f"r{n}", f"h{n}", where=f"f{n % 2}") for n in range(500))
    play(kept(tmp_path / "new", State(7, routes), {"f0": "files", "f1": "cluster"}).write)
    version, sources = read_recall(str(tmp_path / "new"))
    assert version == 7
    assert sources == {"files": routes[::2], "cluster": routes[1::2]}
    assert stat.S_IMODE(os.stat(tmp_path / "new" / FILE).st_mode) == 0o600
    assert os.listdir(tmp_path / "new") == [FILE]


def test_no_key_is_written(tmp_path: Path) -> None:
    play(kept(tmp_path, State(7, (FULL, route("t", backend=SECURED, where="f.yaml"))), {"f.yaml": "files"}).write)
    written = (tmp_path / FILE).read_bytes()
    assert b"secret" not in written
    assert b"staple" not in written
    first, second = read_recall(str(tmp_path))[1]["files"]
    assert (first.certificate, first.certificate.is_known) == (FULL.certificate, False)
    assert second.backend.trust == SECURED.trust


def test_nothing_there_is_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_recall(str(tmp_path)) == (0, {})
    assert caplog.records == []


@pytest.mark.parametrize("body", [b"", b"\xc1garbage", msgpack.packb(5), msgpack.packb({"format": 99}),
                                  msgpack.packb({"format": 1, "version": 1, "sources": {"a": [b"x"]}})])
def test_what_cannot_be_read_is_of_no_use(tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(body)
    assert read_recall(str(tmp_path)) == (0, {})
    assert len(caplog.records) == 1


def test_a_disk_that_takes_nothing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    recall = kept(tmp_path / "file", State(1), {})
    play(recall.write)
    play(recall.write)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@contextlib.contextmanager
def largest_file(most_bytes: int) -> Iterator[None]:
    """What is written beyond that fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_state_whole(tmp_path: Path) -> None:
    play(kept(tmp_path, State(1, (FULL,)), {"f.yaml": "s"}).write)
    with largest_file(8):
        play(kept(tmp_path, State(2), {}).write)
    assert read_recall(str(tmp_path)) == (1, {"s": (FULL,)})


def test_many_changes_are_written_together_and_what_did_not_change_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        states = [State(1)]
        recall = Recall(str(tmp_path), lambda: states[-1], dict)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recall.run)
            for version in (2, 3, 4):
                states.append(State(version))
                recall.touch()
            await until((tmp_path / FILE).exists)
            nursery.cancel_scope.cancel()
        assert read_recall(str(tmp_path))[0] == 4
        before = os.stat(tmp_path / FILE).st_mtime_ns
        await recall.write()
        assert os.stat(tmp_path / FILE).st_mtime_ns == before

    play(story)
