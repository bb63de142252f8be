"""What a worker does when it is told, and when nobody tells it anything any more."""

import os

import pytest
import trio

from edged._fast.memory.arena import Arena
from edged.wire import WireClosed
from edged.worker.process import Worker
from edged.worker.shipping import Shipping
from tests.worker.stage import ask, play

DRAIN = {"type": "drain", "exchanges_ms": 60_000, "tunnels_ms": 60_000}


def test_it_serves_with_the_first_table_and_not_before(tmp_path):
    async def scene(stage):
        address = await stage.listen()
        early = await trio.open_tcp_stream(*address)
        await early.send_all(b"GET / HTTP/1.0\r\n\r\n")
        with trio.move_on_after(0.05) as waiting:
            await early.receive_some()
        assert waiting.cancelled_caught
        await stage.serving()
        assert (await early.receive_some()).startswith(b"HTTP/1.")
        await early.aclose()
        assert await ask(address) == 503
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_what_a_predecessor_left_is_over_and_the_stripe_counts(tmp_path):
    async def scene(stage):
        await stage.serving()
        arena = Arena(stage.arena_fd)
        assert arena.read_stripes_in_use() == 2
        assert arena.read_tally(1)["table_version"] == 1
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_a_new_control_goes_on_where_the_old_one_stopped(tmp_path):
    async def scene(stage):
        first = await stage.serving()
        second = await stage.control()
        with pytest.raises(WireClosed):
            await first.receive()
        await stage.publish(second, 5, "a.example")
        assert (await second.receive())[0] == {"type": "table_in_force", "version": 5}
        address = await stage.listen()
        assert await ask(address) == 503
        first.close()
        second.close()
        assert await ask(address) == 503         # without any control
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000])
def test_a_table_that_is_none_is_refused_and_the_last_stays(tmp_path, content):
    async def scene(stage):
        control = await stage.serving()
        fd = os.memfd_create("t")
        os.write(fd, content)
        await control.send({"type": "table", "version": 9}, [fd])
        os.close(fd)
        message, _ = await control.receive()
        assert (message["type"], message["version"]) == ("table_refused", 9)
        assert await ask(await stage.listen()) == 503
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_lent_sockets_are_accepted_on_until_they_are_taken_back(tmp_path):
    async def scene(stage):
        await stage.serving()
        own, lent = await stage.listen(1), await stage.listen(0)
        assert [await ask(own), await ask(lent)] == [503, 503]
        await stage.wire.send({"type": "unlisten", "slot": 0})
        while await ask(lent) is not None:
            await trio.lowlevel.checkpoint()
        assert await ask(own) == 503
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_draining_lets_the_open_end_and_then_it_leaves(tmp_path):
    async def scene(stage):
        await stage.serving()
        address = await stage.listen()
        stream = await trio.open_tcp_stream(*address)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
        while Arena(stage.arena_fd).read_tally(1)["connections"] == 0:
            await trio.lowlevel.checkpoint()
        await stage.wire.send(DRAIN)
        while await ask(address) is not None:
            await trio.lowlevel.checkpoint()
        assert not stage.gone.is_set()
        await stream.send_all(b"\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 503")
        await stream.aclose()

    play(tmp_path, scene)


@pytest.mark.parametrize("message", [DRAIN, {"type": "stop"}], ids=["drain", "stop"])
def test_it_leaves_though_no_table_ever_came(tmp_path, message):
    async def scene(stage):
        await stage.listen()
        await stage.wire.send(message)

    play(tmp_path, scene)


def test_without_its_supervisor_it_ends_what_is_open(tmp_path):
    async def scene(stage):
        await stage.serving()
        address = await stage.listen()
        assert await ask(address) == 503
        stage.wire.close()
        await stage.gone.wait()
        assert await ask(address) is None

    play(tmp_path, scene)


def test_what_nobody_expects_is_passed_over(tmp_path):
    async def scene(stage):
        control = await stage.serving()
        for message in ({"type": "surprise"}, {"type": "listen", "slot": 0, "listeners": [0]}, {"type": "control"}, {"type": "unlisten"}):
            await stage.wire.send(message)
        await stage.wire.send({"type": "surprise"}, [0, 1])
        await control.send({"type": "surprise"}, [0])
        assert await ask(await stage.listen()) == 503
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_access_lines_are_shipped_and_the_file_is_opened_anew(tmp_path):
    log, rotated = tmp_path / "log", tmp_path / "log.1"

    async def scene(stage):
        await stage.serving()
        address = await stage.listen()
        assert await ask(address, "first.example") == 503
        while not log.exists() or b" 503 " not in log.read_bytes():
            await trio.lowlevel.checkpoint()
        log.rename(rotated)
        await stage.wire.send({"type": "reopen_logs"})
        while not log.exists():
            await trio.lowlevel.checkpoint()
        assert await ask(address, "second.example") == 503
        await stage.wire.send({"type": "stop"})
        await stage.gone.wait()
        assert log.read_bytes().count(b"\n") == rotated.read_bytes().count(b"\n") == 1

    play(tmp_path, scene, f'[log]\ntarget = "file:{log}"\n')


def test_a_log_that_cannot_be_written_stops_no_traffic(tmp_path, caplog):
    async def scene(stage):
        await stage.serving()
        assert await ask(await stage.listen()) == 503
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene, f'[log]\ntarget = "file:{tmp_path}/none/log"\n')
    assert "access lines are being lost" in caplog.text


def test_trouble_with_lines_is_told_at_its_begin_and_end(caplog):
    class Shipper:
        trouble, dropped = "", 0

        def ship(self):
            return None

    shipping = Shipping(None, None)
    shipping._shipper = shipper = Shipper()
    for trouble, dropped in [("", 3), ("the disk is full", 3), ("the disk is full", 9), ("", 11), ("", 11)]:
        shipper.trouble, shipper.dropped = trouble, dropped
        shipping._ship()
    assert [record.getMessage() for record in caplog.records] == [
        "access lines are being lost: the disk is full", "access lines flow again; 8 were lost",
    ]


def test_it_answers_pings_before_and_after_it_has_an_engine(tmp_path):
    async def scene(stage):
        await stage.wire.send({"type": "ping"})
        assert (await stage.wire.receive())[0] == {"type": "pong"}
        await stage.serving()
        for _ in range(2):
            await stage.wire.send({"type": "ping"})
            assert (await stage.wire.receive())[0] == {"type": "pong"}
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)


def test_an_engine_that_takes_no_turn_leaves_a_ping_unanswered(tmp_path, monkeypatch):
    turns = [7]
    monkeypatch.setattr(Worker, "_turns", lambda self: turns[0])

    async def scene(stage):
        await stage.serving()
        await stage.wire.send({"type": "ping"})
        with trio.move_on_after(1.5) as waiting:         # an engine without work takes one a second
            await stage.wire.receive()
        assert waiting.cancelled_caught
        turns[0] += 1
        assert (await stage.wire.receive())[0] == {"type": "pong"}
        await stage.wire.send({"type": "stop"})

    play(tmp_path, scene)
