"""A worker that speaks TLS: when it begins to, what it shows, and what its tickets are worth."""

import contextlib
import datetime
import os
import ssl

import msgpack
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from trio.testing import MockClock

from edged._fast.run import tickets as sealing
from edged._fast.run.material import material_alive
from edged.settings.load import read
from edged.tls import openssl
from edged.tls.contexts import ContextError
from edged.tls.crl import read_crls
from edged.tls.tickets import Ratchet, now_ms
from edged.wire import WireClosed
from edged.worker import encryption
from edged.worker.encryption import Encryption
from tests.scenarios.harness.authority import common_name, key_of
from tests.tls.talk import certificate, python_client
from tests.worker.stage import PLAIN, SECURE, ask, play

HOUR = 3_600_000


@pytest.fixture(scope="module")
def shown(authority):
    """Certificates by their names, as they are sent."""
    return {name: certificate(authority.issue(name, [name])) for name in ("default", "shop", "shop again")}


def parts(shown, *, shop="shop", default="default"):
    sent = [shown[name] for name in (shop, default)]
    return {
        "certificates": {one.id: [list(one.chain), one.key, one.ocsp] for one in sent}, "names": {"shop.example": shown[shop].id},
        "default": shown[default].id,
    }


async def meet(address, name="shop.example", session=None, version=None):
    """Shake hands, ask, and say good-bye: whose certificate was shown, whether the session was resumed, and the last session."""
    stream = trio.SSLStream(await trio.open_tcp_stream(*address), context_of(version), server_hostname=name, https_compatible=True)
    if session is not None:
        stream._ssl_object.session = session     # trio has no word for it
    await stream.do_handshake()
    await stream.send_all(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    answer = b"".join([part async for part in stream])
    assert answer.startswith(b"HTTP/1.")
    seen = common_name(stream.getpeercert(binary_form=True)), stream.session_reused, stream.session
    await stream.aclose()
    return seen


_contexts = {}


def context_of(version):
    return _contexts.setdefault(version, python_client(version=version))


@pytest.mark.parametrize("order", [["table", "certificates"], ["certificates", "table"]])
def test_it_serves_once_it_has_a_table_and_certificates(tmp_path, shown, order):
    async def scene(stage):
        address = await stage.listen()
        control = await stage.control()
        for what in order:
            with trio.move_on_after(0.05) as waiting:
                await stage.wire.receive()
            assert waiting.cancelled_caught
            if what == "table":
                await stage.publish(control, 1)
                assert (await control.receive())[0] == {"type": "table_in_force", "version": 1}
            else:
                assert await stage.certify(control, 7, **parts(shown)) == {"type": "certificates_in_force", "version": 7}
        assert (await stage.wire.receive())[0] == {"type": "serving"}
        assert (await meet(address))[0] == "shop"
        assert (await meet(address, "other.example"))[0] == "default"
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)


def test_without_listeners_that_speak_it_no_certificates_are_waited_for(tmp_path, shown):
    async def scene(stage):
        control = await stage.serving()
        address = await stage.listen()
        assert await stage.certify(control, 2, trusts={}) == {"type": "certificates_in_force", "version": 2}
        assert await ask(address) == 503
        await stage.wire.send({"type": "tickets", "period": 0, "secret": b"s" * 32})
        assert await ask(address) == 503
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_a_replaced_certificate_is_shown_to_the_next_and_no_connection_is_disturbed(tmp_path, shown):
    async def scene(stage):
        control = await stage.control()
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        address = await stage.listen()
        await stage.wire.receive()
        stream = trio.SSLStream(
            await trio.open_tcp_stream(*address), python_client(), server_hostname="shop.example", https_compatible=True
        )
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
        assert (await control.receive())[0]["type"] == "table_in_force"
        answer = await stage.certify(control, 2, whole=False, **parts(shown, shop="shop again"), forget=[shown["shop"].id])
        assert answer == {"type": "certificates_in_force", "version": 2}
        assert (await meet(address))[0] == "shop again"
        await stream.send_all(b"Connection: close\r\n\r\n")
        assert b"".join([part async for part in stream]).startswith(b"HTTP/1.")
        await stream.aclose()
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)


def test_what_is_refused_changes_nothing(tmp_path, shown, caplog):
    async def scene(stage):
        control = await stage.control()
        await stage.publish(control, 1)
        assert (await control.receive())[0]["type"] == "table_in_force"
        address = await stage.listen()
        refused = await stage.certify(control, 1, body=b"nonsense")
        assert (refused["type"], refused["version"]) == ("certificates_refused", 1)
        with trio.move_on_after(0.05) as waiting:
            await stage.wire.receive()
        assert waiting.cancelled_caught          # still nothing to show
        assert (await stage.certify(control, 2, **parts(shown)))["type"] == "certificates_in_force"
        assert (await stage.wire.receive())[0] == {"type": "serving"}
        refused = await stage.certify(control, 3, names={"shop.example": "unknown"})
        assert refused == {"type": "certificates_refused", "version": 3, "why": "certificate unknown is not there"}
        assert (await meet(address))[0] == "shop"
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)
    assert "certificates 3 are refused: certificate unknown is not there" in caplog.text


def test_a_control_that_goes_in_the_middle_leaves_the_way_free(tmp_path, shown):
    async def scene(stage):
        first = await stage.control()
        await stage.publish(first, 1)
        fd = os.memfd_create("certificates")
        await first.send({"type": "certificates", "version": 1, "whole": True}, [fd])
        os.close(fd)
        second = await stage.control()
        await until_closed(first)
        assert (await stage.certify(second, 1, **parts(shown)))["type"] == "certificates_in_force"
        await stage.publish(second, 2)
        assert (await second.receive())[0] == {"type": "table_in_force", "version": 2}
        assert (await stage.wire.receive())[0] == {"type": "serving"}
        assert (await meet(await stage.listen()))[0] == "shop"
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)


async def until_closed(wire):
    with contextlib.suppress(WireClosed):
        while True:
            await wire.receive()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_by_the_supervisors_secret(tmp_path, shown, version):
    async def scene(stage):
        control = await stage.control()
        ratchet = Ratchet.new(HOUR, now_ms())
        await stage.wire.send(ratchet.message())
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        address = await stage.listen()
        await stage.wire.receive()
        _, resumed, session = await meet(address, version=version)
        assert not resumed
        assert (await meet(address, session=session, version=version))[1]
        sealing.use_ticket_keys(ratchet.keys())  # as another worker would have them
        assert (await meet(address, session=session, version=version))[1]
        await stage.wire.send(Ratchet.new(HOUR, now_ms()).message())
        while (await meet(address, session=session, version=version))[1]:
            await trio.lowlevel.checkpoint()
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_by_option_no_tickets_are_given(tmp_path, shown, version):
    async def scene(stage):
        await stage.wire.send(Ratchet.new(HOUR, now_ms()).message())
        control = await stage.control()
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        await stage.wire.receive()
        session = (await meet(await stage.listen(), version=version))[2]
        assert not session.has_ticket
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, '[tls]\nsession_tickets = false\n[log]\ntarget = "off"\n', listeners=SECURE)


@pytest.mark.parametrize("secret", [b"short", "text"])
def test_a_secret_that_is_none_is_passed_over(tmp_path, shown, secret, caplog):
    async def scene(stage):
        await stage.wire.send({"type": "tickets", "period": 1, "secret": secret})
        control = await stage.control()
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        assert (await stage.wire.receive())[0] == {"type": "serving"}
        assert not (await meet(await stage.listen()))[1]
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)
    assert "the supervisor said what nobody expects: tickets" in caplog.text


def settings_of(tmp_path, text):
    path = tmp_path / "edged.toml"
    path.write_text(text)
    settings, problems = read(str(path), {})
    assert problems == []
    return settings


def test_keys_turn_with_time_and_those_of_a_new_secret_take_over(tmp_path, monkeypatch):
    installed = []
    monkeypatch.setattr(sealing, "use_ticket_keys", installed.append)
    monkeypatch.setattr(encryption, "now_ms", lambda: 10 * HOUR + int(trio.current_time() * 1000) - begun_ms)
    begun_ms = 0

    async def main():
        nonlocal begun_ms
        begun_ms = int(trio.current_time() * 1000)
        own = Encryption(settings_of(tmp_path, SECURE))
        first, second = (Ratchet(HOUR, 9, bytes([number]) * 32) for number in (1, 2))
        async with trio.open_nursery() as nursery:
            own.use_tickets(9, b"\1" * 32, nursery)
            assert installed == [first.keys()]
            await trio.sleep(3599)
            assert installed[-1] == first.keys()
            await trio.sleep(2)
            first.turn(11 * HOUR)
            assert installed[-1] == first.keys()
            own.use_tickets(9, b"\2" * 32, nursery)
            second.turn(11 * HOUR)
            await trio.sleep(7200)
            second.turn(13 * HOUR)
            assert installed[-1] == second.keys()
            assert installed[-2] != first.keys()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_listeners_with_the_same_rules_share_a_context(tmp_path, authority):
    (tmp_path / "ca.pem").write_text(authority.pem)
    asking = f'client_auth = "optional"\nclient_ca = "{tmp_path}/ca.pem"\nclient_filter = "CN=ann"\n'
    tcp = '[[listener]]\nname = "raw"\naddress = "127.0.0.1:0"\nmode = "tcp"\nroute = "r"\ntls = true\n'
    text = PLAIN + SECURE + tcp + SECURE.replace("secure", "asking") + asking + '[tls]\nstrict_sni = true\n'
    spoken = Encryption(settings_of(tmp_path, text)).listeners
    assert spoken.keys() == {1, 2, 3}
    owners = [speech["owner"] for speech in spoken.values()]
    assert owners[0] is owners[1] is not owners[2]
    assert spoken[1] == spoken[2]
    for number, told in ((1, {"client_auth": False, "filter": ""}), (3, {"client_auth": True, "filter": "CN=ann"})):
        address = openssl.context_address(spoken[number]["owner"])
        assert spoken[number] == {"context": address, "strict_sni": True, "owner": spoken[number]["owner"], **told}


@pytest.mark.parametrize(("key", "told"), [("client_ca", "no certificate"), ("client_crl", "no CRL"), ("client_crl", "No such file")])
def test_a_listener_that_cannot_be_served_ends_the_start(tmp_path, authority, key, told):
    for name in ("client_ca", "client_crl"):
        (tmp_path / name).write_text(authority.pem + authority.revocations())
    text = f'{SECURE}client_auth = "required"\nclient_ca = "{tmp_path}/client_ca"\nclient_crl = "{tmp_path}/client_crl"\n'
    settings = settings_of(tmp_path, text)
    (tmp_path / key).write_text("-----BEGIN NOTHING-----")
    if told == "No such file":
        (tmp_path / key).unlink()
    with pytest.raises(ContextError, match=f"{key}: .*{told}"):
        Encryption(settings)


# what is revoked

def der_of(pem):
    return [one.der for one in read_crls(pem.encode())]


async def enters(address, context):
    return await asks(trio.SSLStream(await trio.open_tcp_stream(*address), context, server_hostname="a", https_compatible=True))


async def asks(stream):
    """Whether there is an answer."""
    try:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join([part async for part in stream])
        await stream.aclose()
    except trio.BrokenResourceError:
        return False
    return answer.startswith(b"HTTP/1.1 ")


def test_what_is_revoked_changes_while_the_listener_accepts(tmp_path, shown, authority):
    ann, bob = (authority.issue(name, client=True) for name in ("ann", "bob"))
    ca, crl = tmp_path / "ca.pem", tmp_path / "crl.pem"
    ca.write_text(authority.pem)
    crl.write_text(authority.revocations())
    listeners = f'{SECURE}client_auth = "required"\nclient_ca = "{ca}"\nclient_crl = "{crl}"\n'
    people = {name: python_client(certified=one) for name, one in (("ann", ann), ("bob", bob))}

    async def scene(stage):
        control = await stage.control()
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        address = await stage.listen()
        await stage.wire.receive()
        assert (await control.receive())[0]["type"] == "table_in_force"
        begun = await trio.open_tcp_stream(*address)             # it shakes hands by what is in force then
        for revoked, good in [((ann,), {"bob"}), ((), {"ann", "bob"}), ((ann, bob), set())]:
            lists = {f"file:{crl}": der_of(authority.revocations(*revoked)), "file:/of/others": []}
            assert (await stage.certify(control, 2, whole=False, **parts(shown), crls=lists))["type"] == "certificates_in_force"
            assert {name for name, context in people.items() if await enters(address, context)} == good
        assert not await asks(trio.SSLStream(begun, people["ann"], server_hostname="a", https_compatible=True))
        await begun.aclose()
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=listeners)


def test_where_authorities_publish_lists_nobody_comes_in_before_they_are_known(tmp_path, shown, authority):
    """The root says where its list is; whoever is judged by one that is missing is refused (openshift-routes.md 7.8)."""
    ann = authority.issue("ann", client=True)
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem + published(authority))
    listeners = f'{SECURE}client_auth = "required"\nclient_ca = "{ca}"\n'

    async def scene(stage):
        control = await stage.control()
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        address = await stage.listen()
        await stage.wire.receive()
        assert (await control.receive())[0]["type"] == "table_in_force"
        client = python_client(certified=ann)
        assert not await enters(address, client)
        lists = {f"points:{ca}": der_of(authority.revocations())}
        assert (await stage.certify(control, 2, whole=False, **parts(shown), crls=lists))["type"] == "certificates_in_force"
        assert await enters(address, client)
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=listeners)


def published(authority):
    """An authority below the same root that names a distribution point."""
    key = key_of("ec", 77)
    point = x509.DistributionPoint([x509.UniformResourceIdentifier("http://lists.example/root.crl")], None, None, None)
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "published")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(authority.root.certificate.subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return builder.sign(authority.root.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_listeners_whose_lists_cannot_be_used_go_on_as_before(tmp_path, shown, authority, caplog):
    ca, crl = tmp_path / "ca.pem", tmp_path / "crl.pem"
    ca.write_text(authority.pem)
    crl.write_text(authority.revocations())
    settings = settings_of(tmp_path, f'{SECURE}client_auth = "required"\nclient_ca = "{ca}"\nclient_crl = "{crl}"\n')

    async def main():
        own = Encryption(settings)
        before = dict(own.listeners)
        ca.unlink()
        fd = os.memfd_create("certificates")
        os.write(fd, msgpack.packb({"crls": {f"file:{crl}": der_of(authority.revocations(authority.issue("ann", client=True)))}}))
        _, renewed = await own.take(fd, True)
        assert (renewed, own.listeners) == ({}, before)
        ca.write_text(authority.pem)
        _, renewed = await own.take(fd, True)
        assert renewed == own.listeners != before
        os.close(fd)

    trio.run(main)
    assert 'listener "secure" goes on with the CRLs that it has: ' in caplog.text


def test_replaced_certificates_are_let_go(tmp_path, shown, authority):
    changing = [certificate(authority.issue("changing")) for _ in range(2)]

    async def scene(stage):
        control = await stage.control()
        await stage.certify(control, 1, **parts(shown))
        await stage.publish(control, 1)
        await stage.wire.receive()
        assert (await control.receive())[0]["type"] == "table_in_force"
        before = material_alive()
        for step in range(50):
            new, old = changing[step % 2], changing[(step + 1) % 2]
            told = await stage.certify(
                control, step, whole=False, certificates={new.id: [list(new.chain), new.key, new.ocsp]}, names={"changing": new.id},
                default=shown["default"].id, forget=[old.id],
            )
            assert told["type"] == "certificates_in_force"
            assert material_alive() <= before + 2    # the new one, and what the engine had before
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, listeners=SECURE)
