"""Tables on their way to the workers."""

import logging
import os
from typing import Any

import msgpack
import pytest
import trio
import trio.testing

from edged.control.certificates import Picture
from edged.control.compile import PublishedTable
from edged.control.publish import Publisher
from edged.hooks import Certificate
from edged.wire import Wire, wire_pair
from tests.control.given import play, until


def table(version: int) -> PublishedTable:
    fd = os.memfd_create(f"table-{version}")
    os.write(fd, str(version).encode())
    return PublishedTable(version, fd)


class Worker:
    """The other end of a worker's wire."""

    def __init__(self, publisher: Publisher, nursery: trio.Nursery, index: int = 0) -> None:
        ours, theirs = wire_pair()
        self.wire = Wire(ours)
        nursery.start_soon(publisher.serve, index, Wire(theirs))

    async def learns(self, *, tells: str = "certificates_in_force", **more: Any) -> tuple[bool, dict[str, Any]]:
        """Take certificates; answers whether all from before is over, and what is told."""
        message, (fd,) = await self.wire.receive()
        assert message["type"] == "certificates"
        told = msgpack.unpackb(os.pread(fd, 1 << 20, 0), strict_map_key=False)
        os.close(fd)
        await self.wire.send({"type": tells, "version": message["version"], **more})
        return message["whole"], told

    async def takes(self, *, tells: bool = True) -> int:
        message, (fd,) = await self.wire.receive()
        assert message["type"] == "table"
        assert os.pread(fd, 10, 0) == str(message["version"]).encode()
        os.close(fd)
        if tells:
            await self.wire.send({"type": "table_in_force", "version": message["version"]})
        return int(message["version"])


def test_a_new_worker_gets_the_newest_table_at_once() -> None:
    async def story() -> None:
        publisher = Publisher(1)
        publisher.publish(table(3), Picture())
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            assert await worker.takes() == 3
            worker.wire.close()
        publisher.close()

    play(story)


def test_every_worker_gets_every_table_and_the_slowest_decides_what_is_in_force() -> None:
    async def story() -> None:
        heard = []
        publisher = Publisher(2, lambda: heard.append(publisher.in_force()))
        async with trio.open_nursery() as nursery:
            one, two = Worker(publisher, nursery, 0), Worker(publisher, nursery, 1)
            for version in (1, 2):
                publisher.publish(table(version), Picture())
                assert await one.takes() == version
                await until(lambda n=version * 2 - 1: len(heard) == n)
                assert publisher.in_force() == version - 1
                assert await two.takes() == version
                await until(lambda n=version: publisher.in_force() == n)
            one.wire.close()
            await until(lambda: publisher.in_force() == 0)       # it may come back with what it had
            two.wire.close()
        publisher.close()

    play(story)


def test_a_slow_worker_skips_what_it_was_too_slow_for() -> None:
    async def story() -> None:
        publisher = Publisher(1)
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            await trio.testing.wait_all_tasks_blocked()
            for version in (1, 2, 3):
                publisher.publish(table(version), Picture())
            assert await worker.takes() == 3
            worker.wire.close()
        publisher.close()

    play(story)


def test_a_worker_started_again_takes_the_place_of_the_dead_one() -> None:
    async def story() -> None:
        publisher = Publisher(1)
        publisher.publish(table(1), Picture())
        async with trio.open_nursery() as nursery:
            first = Worker(publisher, nursery)
            assert await first.takes() == 1
            second = Worker(publisher, nursery)
            assert await second.takes() == 1
            await until(lambda: publisher.in_force() == 1)
            publisher.publish(table(2), Picture())
            assert await second.takes() == 2
            second.wire.close()
        publisher.close()

    play(story)


def test_a_worker_that_talks_nonsense_is_let_go_and_the_others_served() -> None:
    async def story() -> None:
        publisher = Publisher(2)
        publisher.publish(table(1), Picture())
        async with trio.open_nursery() as nursery:
            good, bad = Worker(publisher, nursery, 0), Worker(publisher, nursery, 1)
            await bad.takes(tells=False)
            await bad.wire.send({"type": "gibberish"}, [2])
            await bad.wire._socket.send(b"\0\0\0\1\xc1")
            assert await good.takes() == 1
            publisher.publish(table(2), Picture())
            assert await good.takes() == 2
            good.wire.close()
        publisher.close()

    play(story)


def test_tables_leave_no_descriptor_behind() -> None:
    async def story() -> None:
        publisher = Publisher(1)
        before = set(os.listdir("/proc/self/fd"))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            for version in range(1, 20):
                publisher.publish(table(version), Picture())
                assert await worker.takes() == version
            worker.wire.close()
        publisher.close()
        assert set(os.listdir("/proc/self/fd")) == before

    play(story)


# ---- certificates


A, B, C = (Certificate.of((word.encode(),), b"key") for word in "ABC")


def picture(version: int, *, whole: bool = True, **names: Certificate) -> Picture:
    return Picture(version, names, whole=whole)


def test_certificates_go_before_the_table_that_needs_them_and_then_what_changed() -> None:
    async def story() -> None:
        publisher = Publisher(1)
        publisher.show(picture(1, a=A))          # nothing is sent before there is a table
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            await trio.testing.wait_all_tasks_blocked()
            publisher.publish(table(1), picture(2, a=A, b=B))
            whole, told = await worker.learns()
            assert (whole, set(told["certificates"]), told["names"]) == (True, {A.id, B.id}, {"a": A.id, "b": B.id})
            assert await worker.takes() == 1
            publisher.publish(table(2), picture(3, a=A, b=C))
            whole, told = await worker.learns()
            assert (whole, set(told["certificates"]), told["names"], told["forget"]) == (False, {C.id}, {"b": C.id}, [B.id])
            assert await worker.takes() == 2
            publisher.show(picture(4, a=A))      # for the same table
            whole, told = await worker.learns()
            assert (told["names"], told["forget"]) == ({"b": None}, [C.id])
            publisher.publish(table(3), publisher._picture)
            assert await worker.takes() == 3     # nothing else has changed
            late = Worker(publisher, nursery)
            whole, told = await late.learns()
            assert (whole, told["names"]) == (True, {"a": A.id})
            assert await late.takes() == 3
            late.wire.close()
        publisher.close()

    play(story)


def test_a_slow_worker_learns_what_it_missed_at_once() -> None:
    async def story() -> None:
        publisher = Publisher(2)
        publisher.publish(table(1), picture(1, a=A))
        async with trio.open_nursery() as nursery:
            quick, slow = Worker(publisher, nursery, 0), Worker(publisher, nursery, 1)
            await quick.learns()
            await quick.takes()
            publisher.publish(table(2), picture(2, a=B))
            await quick.learns()
            await quick.takes()
            publisher.publish(table(3), picture(3, a=C))
            seen = []
            while not seen or seen[-1] != 3:     # what was on its way already comes as it was sent
                message, (fd,) = await slow.wire.receive()
                os.close(fd)
                seen.append(message["version"])
            await quick.learns()
            await quick.takes()
            for worker in (quick, slow):
                worker.wire.close()
        publisher.close()

    play(story)


def test_what_a_surviving_worker_has_is_withdrawn_by_a_whole_picture_alone() -> None:
    """After a restart, some certificates may be known by their ids alone until their source speaks."""

    async def story() -> None:
        publisher = Publisher(1)
        publisher.publish(table(1), picture(1, whole=False, a=A))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            assert (await worker.learns())[0] is False
            await worker.takes()
            publisher.publish(table(2), picture(2, whole=False, a=B))
            whole, told = await worker.learns()
            assert (whole, told["names"], told["forget"]) == (False, {"a": B.id}, [])
            await worker.takes()
            publisher.publish(table(3), picture(3, a=B, c=C))
            whole, told = await worker.learns()
            assert (whole, told["names"], set(told["certificates"])) == (True, {"a": B.id, "c": C.id}, {B.id, C.id})
            await worker.takes()
            publisher.show(picture(4, a=B))
            assert (await worker.learns())[0] is False
            worker.wire.close()
        publisher.close()

    play(story)


def test_a_refusal_is_logged_by_name_and_the_next_picture_is_told_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        publisher = Publisher(1)
        publisher.publish(table(1), picture(1, **{"shop.test": A}))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            await worker.learns(tells="certificates_refused", why=f"certificate {A.id:.12}: its key is of no use")
            await worker.takes()
            await until(lambda: caplog.records)
            assert caplog.records[0].levelno == logging.ERROR
            assert "the certificate of shop.test: its key is of no use" in caplog.text
            publisher.show(picture(2, b=B))
            whole, told = await worker.learns()
            assert (whole, told["names"]) == (True, {"b": B.id})
            worker.wire.close()
        publisher.close()

    play(story)


def test_what_was_sent_after_a_refused_picture_is_told_again_whole() -> None:
    """It said only what was to change after the one that was refused."""

    async def story() -> None:
        publisher = Publisher(1)
        publisher.publish(table(1), picture(1, a=A))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            message, (fd,) = await worker.wire.receive()
            os.close(fd)
            await worker.takes()
            publisher.show(picture(2, a=A, b=B))
            assert (await worker.learns())[0] is False
            await worker.wire.send({"type": "certificates_refused", "version": message["version"], "why": "late"})
            whole, told = await worker.learns()
            assert (whole, told["names"]) == (True, {"a": A.id, "b": B.id})
            worker.wire.close()
        publisher.close()

    play(story)


def test_thousands_of_certificates_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        publisher = Publisher(1)
        names = {f"h{n}": Certificate.of((b"%d" % n,), b"key") for n in range(1000)}
        publisher.publish(table(1), Picture(1, names))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            message, (fd,) = await worker.wire.receive()
            os.close(fd)
            await worker.wire.send({"type": "certificates_in_force", "version": message["version"]})
            await worker.takes()
            await until(lambda: "are in force after" in caplog.text)
            assert "worker 0: 1000 certificates are on their way" in caplog.text
            worker.wire.close()
        publisher.close()

    play(story)


def test_certificates_that_cannot_be_sent_hold_back_the_table(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        publisher = Publisher(1)
        publisher.publish(table(1), picture(1, a=A))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            await worker.learns()
            await worker.takes()
            second = table(2)
            with monkeypatch.context() as broken:
                broken.setattr("edged.control.parcel.os.memfd_create", _no_room)
                publisher.publish(second, picture(2, a=B))
                await until(lambda: "cannot be sent" in caplog.text)
            publisher.publish(table(3), picture(3, a=C))
            assert (await worker.learns())[1]["names"] == {"a": C.id}
            assert await worker.takes() == 3
            worker.wire.close()
        publisher.close()

    play(story)


def _no_room(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_certificates_leave_no_descriptor_behind() -> None:
    async def story() -> None:
        publisher = Publisher(1)
        before = set(os.listdir("/proc/self/fd"))
        async with trio.open_nursery() as nursery:
            worker = Worker(publisher, nursery)
            for version in range(1, 20):
                publisher.publish(table(version), picture(version, a=A if version % 2 else B))
                await worker.learns()
                assert await worker.takes() == version
            worker.wire.close()
        publisher.close()
        assert set(os.listdir("/proc/self/fd")) == before

    play(story)
