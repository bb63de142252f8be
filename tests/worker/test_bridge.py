import os
import socket
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from edged.model.listener import AcceptProxy, Listener, Mode
from edged.worker.bridge import PAUSED_AGAIN_S, Bridge, EngineEnded
from tests.fakes.engine import FakeEngine, FakeTable

LISTENERS = {
    0: Listener(0, "web", "127.0.0.1:0"),
    1: Listener(1, "secure", "127.0.0.1:0", mode=Mode.HTTPS, monitor="local", tls=True),
    3: Listener(3, "raw", "unix:/x", mode=Mode.TCP, accept_proxy=AcceptProxy.TRUSTED_ONLY, trusted=("10.0.0.0/8",), route="r"),
}
TLS = {number: {"context": number, "strict_sni": True, "client_auth": False, "filter": ""} for number in (1, 3)}


@pytest.fixture
def engine():
    made = FakeEngine()
    yield made
    made.close()


def play(engine, scene):
    """Run a scene with a bridge that watches; the engine is stopped at its end."""

    async def main():
        bridge = Bridge(engine, LISTENERS, TLS)
        bridge.start()
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bridge.watch)
                await scene(bridge, nursery)
                await bridge.stop()

    trio.run(main)


def listening_socket():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return os.dup(s.fileno()), s.getsockname()[1]


async def until(what):
    while not what():
        await trio.lowlevel.checkpoint()


def closed(fd):
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def test_a_table_is_used_when_the_engine_says_so(engine):
    async def scene(bridge, nursery):
        engine.hold.clear()
        taken = []

        async def use():
            await bridge.use(FakeTable(7), 7)
            taken.append(engine.version_in_force)

        nursery.start_soon(use)
        await wait_all_tasks_blocked()
        engine.ring()                            # some other news
        await wait_all_tasks_blocked(0.01)
        assert taken == []
        engine.hold.set()
        await until(lambda: taken)
        assert taken == [7]

    play(engine, scene)


def test_a_keyring_is_used_when_the_engine_has_obeyed(engine):
    async def scene(bridge, nursery):
        engine.hold.clear()
        used = trio.Event()

        async def use():
            await bridge.use_keyring("the next", {3: {"context": 33}})
            used.set()

        nursery.start_soon(use)
        await until(lambda: engine.orders_left)
        await wait_all_tasks_blocked()
        assert not used.is_set()
        engine.hold.set()
        await used.wait()
        assert engine.keyring == "the next"
        assert engine.contexts == {3: 33}
        fd, _ = listening_socket()
        bridge.listen(0, 3, fd)
        await bridge.settle()
        assert engine.accepting[fd][-2] == {"context": 33}

    play(engine, scene)


def test_the_bell_lets_tables_go(engine):
    async def scene(bridge, nursery):
        engine.retired = 2
        engine.ring()
        await until(lambda: not engine.retired)

    play(engine, scene)


def test_what_the_engine_notices_is_said_once(engine, caplog):
    async def scene(bridge, nursery):
        engine.notices = ["one thing", "100 % of another"]
        engine.ring()
        await until(lambda: not engine.notices)
        engine.ring()
        await wait_all_tasks_blocked(0.01)

    play(engine, scene)
    assert [record.getMessage() for record in caplog.records] == ["one thing", "100 % of another"]


def test_the_engine_is_told_all_about_a_listener(engine):
    async def scene(bridge, nursery):
        fd, port = listening_socket()
        unix = os.dup(socket.socket(socket.AF_UNIX).detach())
        bridge.listen(0, 0, fd)
        bridge.listen(0, 3, unix)
        secure, secure_port = listening_socket()
        bridge.listen(0, 1, secure)
        await bridge.settle()
        assert engine.accepting == {
            secure: (1, "secure", "http", "off", (), secure_port, TLS[1], "local"),
            fd: (0, "web", "http", "off", (), port, None, "off"),
            unix: (3, "raw", "tcp", "trusted-only", ("10.0.0.0/8",), 0, TLS[3], "off"),
        }
        await bridge.unlisten(0)

    play(engine, scene)


def test_a_socket_is_closed_only_after_the_engine_has_let_it_go(engine):
    async def scene(bridge, nursery):
        lent, _ = listening_socket()
        own, _ = listening_socket()
        bridge.listen(1, 0, lent)
        bridge.listen(0, 0, own)
        await bridge.settle()
        engine.hold.clear()
        nursery.start_soon(bridge.unlisten, 1)
        await until(lambda: engine.orders_left)
        await trio.lowlevel.checkpoint()
        assert not closed(lent)
        engine.hold.set()
        await until(lambda: closed(lent))
        assert list(engine.accepting) == [own]
        await bridge.unlisten(0)
        assert closed(own)

    play(engine, scene)


def test_what_was_never_lent_can_be_taken_back(engine):
    async def scene(bridge, nursery):
        await bridge.unlisten(5)
        assert engine.told == []

    play(engine, scene)


def test_draining_closes_the_doors_and_waits_for_the_last(engine):
    async def scene(bridge, nursery):
        fd, _ = listening_socket()
        bridge.listen(0, 0, fd)
        await bridge.settle()
        engine.idle = False
        drained = trio.Event()

        async def drain():
            await bridge.drain(60, 60)
            drained.set()

        nursery.start_soon(drain)
        await until(lambda: closed(fd))
        assert engine.draining
        engine.ring()
        await wait_all_tasks_blocked(0.01)
        assert not drained.is_set()
        engine.idle = True
        engine.ring()
        await drained.wait()

    play(engine, scene)


@pytest.mark.parametrize(("exchanges_s", "tunnels_s", "cut"), [(0.05, 60, "cut exchanges"), (60, 0.05, "cut tunnels")])
def test_draining_cuts_what_has_less_time_when_it_is_over(engine, exchanges_s, tunnels_s, cut):
    async def scene(bridge, nursery):
        engine.idle = False
        began_s = trio.current_time()
        nursery.start_soon(bridge.drain, exchanges_s, tunnels_s)
        await until(lambda: cut in engine.told)
        assert trio.current_time() - began_s >= 0.05
        assert engine.told == ["drain", cut]
        engine.idle = True
        engine.ring()

    play(engine, scene)


def test_draining_cuts_nothing_that_has_ended(engine):
    async def scene(bridge, nursery):
        await bridge.drain(0.2, 60)
        await bridge.settle()
        assert engine.told == ["drain"]

    play(engine, scene)


def test_an_engine_that_fails_is_told(engine, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    async def scene(bridge, nursery):
        engine._order("fail")
        await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        play(engine, scene)
    assert caught.group_contains(EngineEnded, match="the engine has ended by itself")


def test_accepting_that_pauses_is_told_once_in_a_while(engine, caplog):
    async def main():
        bridge = Bridge(engine, LISTENERS, TLS)
        engine.accept_paused = True
        bridge._tell_if_paused()
        bridge._tell_if_paused()
        engine.accept_paused = False
        bridge._tell_if_paused()
        for _ in range(10):                      # flapping
            engine.accept_paused = not engine.accept_paused
            bridge._tell_if_paused()
        engine.accept_paused = False
        bridge._tell_if_paused()
        await trio.sleep(PAUSED_AGAIN_S)
        engine.accept_paused = True
        bridge._tell_if_paused()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    told = [record.getMessage() for record in caplog.records]
    pauses = "accepting pauses: no descriptor is left, or max_connections is reached"
    assert told == [pauses, "accepting again", pauses]


def test_a_slot_may_keep_some_of_its_sockets(engine):
    async def scene(bridge, nursery):
        web, _ = listening_socket()
        secure, _ = listening_socket()
        bridge.listen(0, 0, web)
        bridge.listen(0, 1, secure)
        await bridge.unlisten(0, [0])
        assert closed(web)
        assert list(engine.accepting) == [secure]
        await bridge.unlisten(0, [0])            # nothing is left of that
        await bridge.unlisten(0)
        assert closed(secure)

    play(engine, scene)


@pytest.mark.parametrize("way", ["hand_over", "take_over"])
def test_the_way_for_tunnels_is_closed_when_the_engine_has_its_own(engine, way):
    async def scene(bridge, nursery):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = ours.detach()
        engine.hold.clear()
        nursery.start_soon(getattr(bridge, way), fd)
        await until(lambda: engine.orders_left)
        assert not closed(fd)
        engine.hold.set()
        await until(lambda: closed(fd))
        assert engine.told == [way.replace("_", " ")]
        theirs.close()
        engine.handed_over, engine.taken_over = 3, 4
        assert bridge.passed == (3, 4)

    play(engine, scene)
