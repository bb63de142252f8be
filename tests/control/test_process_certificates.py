"""Certificates on their way through control: from routes and the operator to the workers, over changes and restarts."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import edged.control.process as room
from edged.hooks import Backend, Certificate, Route, SourceError, Termination, Trust
from edged.model.listener import Listener, Mode
from edged.settings import InvalidSettings
from edged.settings.tables import TlsTable
from tests.control.given import Given, endpoint, route, until
from tests.control.house import House, Setting, Worker
from tests.scenarios.harness.authority import Authority, Certified, common_name

TLS = (Listener(0, "tls", "127.0.0.1:0", Mode.HTTPS, tls=True),)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("control")


@pytest.fixture
def default(authority: Authority, tmp_path: Path) -> TlsTable:
    """A default certificate, so that none has to be made."""
    (tmp_path / "default.pem").write_text(authority.issue("default").bundle)
    return TlsTable(default_certificate=str(tmp_path / "default.pem"))


def replace(default: TlsTable, text: str) -> None:
    Path(default.default_certificate).write_text(text)


def shows(certified: Certified, host: str = "a.test", key: str = "a", **more: object) -> Route:
    chain = (certified.der, authority_der(certified))
    more.setdefault("where", "cluster")
    return route(key, host, termination=Termination.EDGE, certificate=Certificate.of(chain, key_der(certified)), **more)


def key_der(certified: Certified) -> bytes:
    return certified.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def authority_der(certified: Certified) -> bytes:
    return Certified(certified.between[0], certified.key).der


def shown(worker: Worker, name: str = "a.test") -> str | None:
    der = worker.shows(name)
    return None if der is None else common_name(der)


def test_certificates_are_there_before_the_table_and_follow_every_change(stage: Setting, authority: Authority, default: TlsTable) -> None:
    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(shows(authority.issue("first")))
        await house.wait_ready()
        await until(lambda: worker.routes == ["a"])
        assert (shown(worker), worker.wholes) == ("first", [True])
        assert worker.default is not None
        assert common_name(worker.known[worker.default][0][0]) == "default"
        for n in range(5):
            await given(shows(authority.issue(f"newer {n}")), route(f"b{n}", "b"))
            await until(lambda n=n: worker.routes == ["a", f"b{n}"])
            assert shown(worker) == f"newer {n}"
        assert worker.wholes[1:] == [False] * 5
        assert len(worker.known) == 2
        late = await house.worker(nursery, 1)
        await until(lambda: late.versions == worker.versions[-1:])
        assert (late.wholes, late.names, late.known) == ([True], worker.names, worker.known)
        await given(route("b", "b"))
        await until(lambda: shown(worker) is None and shown(late) is None)
        assert len(worker.known) == 1

    stage([given], story, listeners=TLS, tls=default, workers=2)


def test_a_change_of_endpoints_sends_no_certificates(stage: Setting, authority: Authority, default: TlsTable) -> None:
    given = Given()
    certified = authority.issue("one")

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        for n in range(1, 5):
            await given(shows(certified, to=[f"10.0.0.{n}:80"]))
            await until(lambda n=n: len(worker.versions) == n)
            if n == 1:
                await house.wait_ready()
        assert worker.wholes == [True]

    stage([given], story, listeners=TLS, tls=default)


def test_workers_are_told_what_is_revoked(stage: Setting, authority: Authority, default: TlsTable, tmp_path: Path) -> None:
    path, given = tmp_path / "revoked.pem", Given()
    source = f"file:{path}"
    path.write_text(authority.revocations())
    asking = Listener(0, "tls", "127.0.0.1:0", Mode.HTTPS, tls=True, client_auth="required", client_crl=str(path))

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("a", "a"))
        await house.wait_ready()
        await until(lambda: source in worker.crls)
        first = worker.crls[source]
        assert len(first) == 2
        (tmp_path / "new").write_text(authority.revocations(authority.issue("gone", client=True)))
        (tmp_path / "new").rename(path)
        await until(lambda: worker.crls[source] != first)
        assert worker.wholes == [True, False]
        late = await house.worker(nursery, 1)
        await until(lambda: late.crls == worker.crls)

    stage([given], story, listeners=(asking,), tls=default, workers=2)


def test_whom_endpoints_are_believed_is_known_before_the_table_and_while_any_has_it(
    stage: Setting, authority: Authority, default: TlsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.control.certificates._TRUST_LINGERS_S", 0.2)
    given = Given()
    one, two = Trust.of((authority.root.der,)), Trust.of((authority.intermediate.der,))

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("a", "a", backend=Backend("a", (endpoint(),), trust=one)))
        await house.wait_ready()
        await until(lambda: worker.trusted == [one.id])
        await given(route("a", "a", backend=Backend("a", (endpoint(),), trust=two)))
        await until(lambda: worker.trusted == [two.id])
        await until(lambda: set(worker.trusts) == {two.id})

    stage([given], story, tls=default)


def test_the_operators_certificates_are_read_again_and_a_bad_default_changes_nothing(
    stage: Setting, authority: Authority, default: TlsTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "certs.d"
    folder.mkdir()
    (folder / "own.pem").write_text(authority.issue("own", ["own.test", "*.wild.test"]).bundle)
    tls = TlsTable(default_certificate=default.default_certificate, certificates=(str(folder),))

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await house.wait_ready()
        await until(lambda: shown(worker, "own.test") == "own")
        assert shown(worker, "*.wild.test") == "own"
        replace(default, authority.issue("newer").bundle)
        await until(lambda: worker.default and common_name(worker.known[worker.default][0][0]) == "newer")
        replace(default, "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
        await until(lambda: "default.pem" in caplog.text)
        (folder / "own.pem").unlink()
        await until(lambda: shown(worker, "own.test") is None)
        assert common_name(worker.known[worker.default or ""][0][0]) == "newer"
        assert worker.versions == worker.versions[:1]

    stage([], story, listeners=TLS, tls=tls)


def test_a_default_that_cannot_be_read_stops_the_start(stage: Setting, tmp_path: Path) -> None:
    async def story(house: House, nursery: trio.Nursery) -> None:
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as stopped:
        stage([], story, listeners=TLS, tls=TlsTable(default_certificate=str(tmp_path / "nowhere.pem")))
    assert stopped.group_contains(InvalidSettings, match=r"nowhere\.pem")


class Away(Given):
    async def run(self, publish: object) -> None:
        raise SourceError("the cluster cannot be reached")


# ---- restarts


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(room, "_RECALL_AFTER_S", 0.2)
    return


@pytest.mark.usefixtures("impatient")
def test_a_silent_source_takes_no_certificate_from_a_worker_that_has_it(
    stage: Setting, authority: Authority, default: TlsTable, caplog: pytest.LogCaptureFixture
) -> None:
    cluster, there = Given("cluster"), Given("there")
    survivors: list[Worker] = []

    async def first(house: House, nursery: trio.Nursery) -> None:
        survivors.append(await house.worker(nursery))
        await cluster(shows(authority.issue("kept")))
        await there(shows(authority.issue("gone"), "b.test", "b", where="there"))
        await house.wait_ready()
        await until(lambda: survivors[0].routes == ["a", "b"])

    async def second(house: House, nursery: trio.Nursery) -> None:
        survivor = await house.worker(nursery, old=survivors[0])
        fresh = await house.worker(nursery, 1)
        await there(shows(authority.issue("newer"), "b.test", "b", where="there"))
        await house.wait_ready()
        await until(lambda: survivor.routes == fresh.routes == ["a", "b"])
        assert (shown(survivor), shown(survivor, "b.test")) == ("kept", "newer")
        assert (shown(fresh), shown(fresh, "b.test")) == (None, "newer")
        assert fresh.wholes[0] is survivor.wholes[-1] is False
        assert "1 certificates have still to be told by their sources" in caplog.text

    stage([cluster, there], first, listeners=TLS, tls=default, workers=1)
    stage([Away("cluster"), there], second, listeners=TLS, tls=default, workers=2)


@pytest.mark.usefixtures("impatient")
def test_when_the_source_speaks_again_the_picture_is_whole(stage: Setting, authority: Authority, default: TlsTable) -> None:
    cluster, late = Given("cluster"), Given("cluster")
    survivors: list[Worker] = []
    kept, gone = shows(authority.issue("kept")), shows(authority.issue("gone"), "b.test", "b")

    async def first(house: House, nursery: trio.Nursery) -> None:
        survivors.append(await house.worker(nursery))
        await cluster(kept, gone)
        await house.wait_ready()
        await until(lambda: survivors[0].routes == ["a", "b"])

    async def second(house: House, nursery: trio.Nursery) -> None:
        survivor = await house.worker(nursery, old=survivors[0])
        await house.wait_ready()
        await until(lambda: len(survivor.versions) == 2)
        assert (shown(survivor), shown(survivor, "b.test"), survivor.wholes) == ("kept", "gone", [True, False])
        await late(kept)
        await until(lambda: survivor.routes == ["a"])
        await until(lambda: shown(survivor, "b.test") is None)
        assert shown(survivor) == "kept"
        assert True in survivor.wholes[2:]

    stage([cluster], first, listeners=TLS, tls=default)
    stage([late], second, listeners=TLS, tls=default)


def test_no_key_is_on_disk(stage: Setting, authority: Authority, default: TlsTable, tmp_path: Path) -> None:
    given = Given()
    certified = authority.issue("secret", sort="ec", number=77)
    trust = Trust.of((authority_der(certified),))

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(shows(certified, backend=Backend("b", (endpoint(),), trust=trust)))
        await house.wait_ready()
        await until(lambda: worker.routes == ["a"])

    stage([given], story, listeners=TLS, tls=default)
    written = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    assert "snapshot.msgpack" in written
    number = certified.key.private_numbers().private_value.to_bytes(32, "big")        # type: ignore[union-attr]
    for name, body in written.items():
        assert number not in body, name
        assert b"PRIVATE KEY" not in body, name
        assert key_der(certified) not in body, name
    assert trust.authorities[0] in written["snapshot.msgpack"]       # whom endpoints are believed is no secret, and is needed at once


def test_a_route_that_is_admitted_no_more_shows_nothing(
    stage: Setting, authority: Authority, default: TlsTable, caplog: pytest.LogCaptureFixture
) -> None:
    """The younger route of two that claim one host and path is refused, whatever it shows."""
    caplog.set_level(logging.WARNING)
    given = Given()
    older, younger = shows(authority.issue("older"), key="o", created_s=1.0), shows(authority.issue("younger"), key="y", created_s=2.0)

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(younger)
        await house.wait_ready()
        await until(lambda: shown(worker) == "younger")
        await given(younger, older)
        await until(lambda: shown(worker) == "older")
        await given(younger)
        await until(lambda: shown(worker) == "younger")

    stage([given], story, listeners=TLS, tls=default)
