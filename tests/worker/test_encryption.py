"""A worker that speaks TLS: when it begins to, what it shows, and what its tickets are worth."""

import contextlib
import os
import ssl

import pytest
import trio
from trio.testing import MockClock

from edged._fast.run import tickets as sealing
from edged.settings.load import read
from edged.tls.contexts import ContextError
from edged.tls.tickets import Ratchet, now_ms
from edged.wire import WireClosed
from edged.worker import encryption
from edged.worker.encryption import Encryption
from tests.scenarios.harness.authority import common_name
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
    assert spoken[1] == spoken[2] == {"context": spoken[1]["context"], "strict_sni": True, "client_auth": False, "filter": ""}
    assert spoken[3] == {"context": spoken[3]["context"], "strict_sni": True, "client_auth": True, "filter": "CN=ann"}
    assert spoken[3]["context"] != spoken[1]["context"]


def test_a_listener_that_cannot_be_served_ends_the_start(tmp_path, authority):
    path = tmp_path / "ca.pem"
    path.write_text(authority.pem)
    settings = settings_of(tmp_path, f'{SECURE}client_auth = "required"\nclient_ca = "{path}"\n')
    path.write_text("nonsense")
    with pytest.raises(ContextError, match=r"client_ca .*ca\.pem"):
        Encryption(settings)
