"""Tables on their way to the workers."""

import os

import trio
import trio.testing

from edged.control.certificates import Picture
from edged.control.compile import PublishedTable
from edged.control.publish import Publisher
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
