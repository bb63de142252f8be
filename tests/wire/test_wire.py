import os
import socket
import struct

import msgpack
import pytest
import trio

from edged import wire as wire_module
from edged.wire import DESCRIPTORS_MOST, MESSAGE_MOST_BYTES, Wire, WireClosed, WireError, wire_pair


def both_ends():
    return tuple(Wire(end) for end in wire_pair())


def open_fds():
    return set(os.listdir("/proc/self/fd"))


def read_all(fd):
    with open(fd, "rb") as file:
        return file.read()


def memory_file(content):
    fd = os.memfd_create("test")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def test_messages_come_whole_in_order_with_their_own_descriptors():
    async def main():
        a, b = both_ends()
        fds = [memory_file(b"%d" % number) for number in range(4)]

        async def speak():
            for number in range(40):
                await a.send({"type": "n", "number": number, "load": bytes(number * 7000)}, fds[: number % 5])
            a.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            for number in range(40):
                message, came = await b.receive()
                assert message == {"type": "n", "number": number, "load": bytes(number * 7000)}
                assert [os.pread(fd, 9, 0) for fd in came] == [b"%d" % which for which in range(number % 5)]
                assert not any(os.get_inheritable(fd) for fd in came)
                for fd in came:
                    os.close(fd)
            with pytest.raises(WireClosed):
                await b.receive()
        b.close()
        for fd in fds:
            os.close(fd)

    before = open_fds()
    trio.run(main)
    assert open_fds() == before


def test_a_cancelled_receive_loses_nothing():
    async def main():
        a, b = both_ends()
        fd = memory_file(b"x")
        raw = msgpack.packb({"type": "slow", "load": bytes(100)})
        data = struct.pack("!I", len(raw)) + raw
        peer = a._socket
        for at in range(len(data)):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))] if at == 0 else []
            await peer.sendmsg([data[at : at + 1]], rights)
            with trio.CancelScope() as scope:
                if at < len(data) - 1:
                    scope.deadline = trio.current_time() + 0.001
                message, fds = await b.receive()
        assert message == {"type": "slow", "load": bytes(100)}
        assert os.pread(fds[0], 1, 0) == b"x"
        os.close(fds[0])
        os.close(fd)
        a.close()
        b.close()

    before = open_fds()
    trio.run(main)
    assert open_fds() == before


def test_a_cancelled_send_is_finished_by_the_next():
    async def main():
        a, b = both_ends()
        big = {"type": "big", "load": bytes(3_000_000)}
        with trio.move_on_after(0.05) as scope:
            await a.send(big)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.send, {"type": "next"})
            assert (await b.receive())[0] == big
            assert (await b.receive())[0] == {"type": "next"}
        a.close()
        b.close()

    trio.run(main)


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack("!I", MESSAGE_MOST_BYTES + 1),
        struct.pack("!I", 1) + b"\xc1",
        struct.pack("!I", 2) + msgpack.packb([1]),
        struct.pack("!I", 2) + msgpack.packb("a"),
        struct.pack("!I", 1) + b"\x80",
        struct.pack("!I", 0),
        struct.pack("!I", 4) + b"\x81\x01\xa1a",
    ],
)
def test_nonsense_is_refused(raw):
    async def main():
        a, b = both_ends()
        await a._socket.send(raw)
        with pytest.raises(WireError) as caught:
            await b.receive()
        assert not isinstance(caught.value, WireClosed)
        a.close()
        b.close()

    trio.run(main)


def test_nested_nonsense_is_refused():
    async def main():
        a, b = both_ends()
        raw = b"\x81\xa1a" + b"\x91" * 5000 + b"\xc0"
        await a._socket.send(struct.pack("!I", len(raw)) + raw)
        with pytest.raises(WireError):
            await b.receive()
        a.close()
        b.close()

    trio.run(main)


def test_descriptors_of_a_message_that_never_ends_are_closed():
    async def main():
        a, b = both_ends()
        fd = memory_file(b"")
        await a._socket.sendmsg([struct.pack("!I", 50)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))])
        os.close(fd)
        a.close()
        with pytest.raises(WireClosed):
            await b.receive()
        b.close()

    before = open_fds()
    trio.run(main)
    assert open_fds() == before


def test_too_much_is_not_sent():
    async def main():
        a, b = both_ends()
        with pytest.raises(WireError):
            await a.send({"type": "x", "load": bytes(MESSAGE_MOST_BYTES)})
        with pytest.raises(WireError):
            await a.send({"type": "x"}, [0] * (DESCRIPTORS_MOST + 1))
        a.close()
        b.close()

    trio.run(main)


def test_the_most_descriptors_travel():
    async def main():
        a, b = both_ends()
        await a.send({"type": "x"}, [0] * DESCRIPTORS_MOST)
        _, fds = await b.receive()
        assert len(fds) == DESCRIPTORS_MOST
        wire_module._close_all(fds)
        a.close()
        b.close()

    trio.run(main)


def test_a_closed_end_says_so():
    async def main():
        a, b = both_ends()
        b.close()
        with pytest.raises(WireClosed):
            await a.send({"type": "x"})
        a.close()
        with pytest.raises(WireClosed):
            await a.receive()
        with pytest.raises(WireClosed):
            await a.send({"type": "x"})

    trio.run(main)
