import os
import re
import socket
import stat

import pytest

from edged.errors import StartError
from edged.model.listener import Listener
from edged.supervisor.given import Given
from edged.supervisor.sockets import Sockets


def listener(address, number=0, **more):
    return Listener(number, f"l{number}", address, **more)


@pytest.fixture
def bind():
    """Binds and, at the end, closes."""
    made = []

    def go(*listeners, slots=2):
        made.append(Sockets(listeners, slots))
        return made[-1]

    yield go
    for sockets in made:
        sockets.close()



def test_every_slot_has_a_socket_on_the_same_port(bind):
    sockets = bind(listener("127.0.0.1:0"), listener("[::1]:0", 1), slots=3)
    sockets.listen()
    for bound in sockets.bound:
        assert {sock.getsockname()[1] for sock in bound.sockets} == {bound.address.port}
        assert bound.address.port
    fds = [fd for slot in range(3) for _, fd in sockets.of_slot(slot)]
    assert len(set(fds)) == 6
    assert [number for number, _ in sockets.of_slot(1)] == [0, 1]
    assert not any(os.get_inheritable(fd) for fd in fds)


@pytest.mark.parametrize(
    ("more", "level", "option", "value"),
    [
        ({}, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        ({"nodelay": False}, socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
        ({}, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0),
        ({"keepalive": True}, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ({"freebind": True}, socket.IPPROTO_IP, 15, 1),
    ],
)
def test_options_are_inherited_by_accepted_sockets(bind, more, level, option, value):
    sockets = bind(listener("127.0.0.1:0", **more), slots=1)
    sockets.listen()
    sock = sockets.bound[0].sockets[0]
    assert sock.getsockopt(level, option) == value
    if option != 15:
        with socket.create_connection(sock.getsockname()):
            sock.setblocking(True)
            with sock.accept()[0] as accepted:
                assert accepted.getsockopt(level, option) == value


def test_defer_accept_and_v6only_are_set(bind):
    sockets = bind(listener("[::1]:0", defer_accept_s=5, v6only=True), slots=1)
    sock = sockets.bound[0].sockets[0]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) >= 3
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_without_v6only_both_families_are_taken(bind):
    sockets = bind(listener("[::]:0"), slots=1)
    sockets.listen()
    with socket.create_connection(("127.0.0.1", sockets.bound[0].address.port), timeout=5):
        pass


def test_nothing_is_taken_before_listen(bind):
    sockets = bind(listener("127.0.0.1:0"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sockets.bound[0].address.port), timeout=5)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_that_somebody_shares_is_not_shared_silently(bind, family):
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, 0))
        holder.listen()
        port = holder.getsockname()[1]
        address = f"{host}:{port}" if family == socket.AF_INET else f"[{host}]:{port}"
        with pytest.raises(StartError) as caught:
            bind(listener(address))
    assert str(caught.value) == f'listener "l0": {address}: taken by this process'


def test_a_port_held_by_any_address_is_taken(bind):
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        with pytest.raises(StartError, match="taken by this process"):
            bind(listener(f"127.0.0.1:{holder.getsockname()[1]}"))


def test_two_listeners_that_collide_are_named(bind):
    first = bind(listener("0.0.0.0:0"))
    port = first.bound[0].address.port
    first.close()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StartError) as caught:
        bind(listener(f"0.0.0.0:{port}"), listener(f"127.0.0.1:{port}", 1))
    assert re.fullmatch(rf'listener "l1": 127.0.0.1:{port}: taken by listener "l0", 0.0.0.0:{port}', str(caught.value))
    assert os.listdir("/proc/self/fd") == before


def test_an_address_that_nobody_has_is_told(bind):
    with pytest.raises(StartError, match="no interface has this address; freebind = true lets it come later"):
        bind(listener("192.0.2.1:0"))
    assert bind(listener("192.0.2.1:0", freebind=True)).bound


def test_a_stale_unix_socket_is_replaced(bind, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    sockets = bind(listener(f"unix:{path}", permissions=0o640))
    sockets.listen()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sockets.of_slot(0) == []
    assert len(sockets.shared()) == 1
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
    sockets.close()
    assert not path.exists()


def test_a_unix_socket_that_answers_is_left_alone(bind, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(str(path))
        holder.listen()
        with pytest.raises(StartError, match="taken by this process"):
            bind(listener(f"unix:{path}"))
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))


def test_a_file_in_the_way_is_left_alone(bind, tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartError, match="something that is no socket has this name"):
        bind(listener(f"unix:{path}"))
    assert path.read_text() == "precious"


def test_a_file_that_is_not_ours_any_more_is_not_removed(bind, tmp_path):
    path = tmp_path / "s"
    sockets = bind(listener(f"unix:{path}"))
    path.unlink()
    path.write_text("somebody else's")
    sockets.close()
    assert path.exists()


def test_a_directory_that_is_not_there_is_told(bind, tmp_path):
    with pytest.raises(StartError, match=r"none/s: No such file or directory"):
        bind(listener(f"unix:{tmp_path}/none/s"))


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        (("0.0.0.0", {}), ("127.0.0.1", {}), True),
        (("127.0.0.1", {}), ("0.0.0.0", {}), True),
        (("[::]", {}), ("127.0.0.1", {}), True),
        (("[::]", {}), ("0.0.0.0", {}), True),
        (("[::]", {"v6only": True}), ("0.0.0.0", {}), False),
        (("[::]", {"v6only": True}), ("[::1]", {}), True),
        (("127.0.0.1", {}), ("[::1]", {}), False),
        (("127.0.0.1", {}), ("127.0.0.2", {}), False),
    ],
)
def test_which_listeners_collide(bind, first, second, collide):
    probe = bind(listener("[::]:0"))
    port = probe.bound[0].address.port
    probe.close()
    listeners = [listener(f"{host}:{port}", number, **more) for number, (host, more) in enumerate([first, second])]
    if collide:
        with pytest.raises(StartError, match='taken by listener "l0"'):
            bind(*listeners)
    else:
        assert len(bind(*listeners).bound) == 2


def test_who_is_turned_away_loses_nothing_and_who_is_in_stays(bind):
    sockets = bind(listener("127.0.0.1:0"), slots=1)
    sockets.listen()
    (door,) = sockets.bound[0].sockets
    where = door.getsockname()
    waiting = socket.create_connection(where, timeout=5)
    sockets.turn_away()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=5)
    waiting.sendall(b"still here")
    door.setblocking(True)
    accepted, _ = door.accept()
    with accepted, waiting:
        assert accepted.recv(100) == b"still here"
        accepted.sendall(b"yes")
        assert waiting.recv(100) == b"yes"


# ---- over a reload


def held(sockets):
    return {sock.fileno() for bound in sockets.bound for sock in bound.sockets}


def followed(before, *listeners, slots=2):
    """What a reload makes of sockets that listen."""
    after = Sockets(listeners, slots, before=before)
    after.listen()
    before.leave_to(after)
    return after


def test_what_stays_is_the_same_socket_whatever_its_place_and_name(bind, tmp_path):
    before = bind(listener("127.0.0.1:0"), listener(f"unix:{tmp_path}/s", 1), listener("[::1]:0", 2))
    before.listen()
    port = before.bound[0].address.port
    named = [Listener(number, name, address) for number, (name, address) in enumerate(
        [("l2", "[::1]:0"), ("other", f"unix:{tmp_path}/s"), ("l0", "127.0.0.1:0")]
    )]
    after = followed(before, *named)
    assert held(after) == held(before)
    assert [bound.listener.number for bound in after.bound] == [0, 1, 2]
    assert after.bound[2].address.port == port
    after.close()


def test_a_unix_listener_stays_with_its_queue_and_its_new_permissions(bind, tmp_path):
    path = tmp_path / "s"
    before = bind(listener(f"unix:{path}", permissions=0o600))
    before.listen()
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        waiting.sendall(b"here")
        after = followed(before, listener(f"unix:{path}", permissions=0o666))
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        [(_, fd)] = after.shared()
        with socket.socket(fileno=os.dup(fd)) as door, door.accept()[0] as accepted:
            assert accepted.recv(10) == b"here"
    after.close()
    assert not path.exists()


def test_unix_listeners_come_and_go(bind, tmp_path):
    before = bind(listener(f"unix:{tmp_path}/old"))
    before.listen()
    after = followed(before, listener(f"unix:{tmp_path}/new"))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    after.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("v6only", [True, False])
def test_v6only_may_change(bind, v6only):
    before = bind(listener("[::]:0", v6only=not v6only))
    before.listen()
    port = before.bound[0].address.port
    after = followed(before, listener(f"[::]:{port}", v6only=v6only))
    assert not held(after) & held(before)
    with socket.create_connection(("::1", port), timeout=5):
        pass
    if v6only:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    else:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    after.close()


def test_one_address_for_all_may_become_two(bind):
    before = bind(listener("[::]:0"))
    before.listen()
    port = before.bound[0].address.port
    after = followed(before, listener(f"[::]:{port}", v6only=True), listener(f"0.0.0.0:{port}", 1))
    for host in ("::1", "127.0.0.1"):
        socket.create_connection((host, port), timeout=5).close()
    after.close()


def test_what_fails_leaves_the_present_ones_alone(bind, tmp_path):
    before = bind(listener("127.0.0.1:0"), listener(f"unix:{tmp_path}/s", 1))
    before.listen()
    port = before.bound[0].address.port
    (tmp_path / "file").touch()
    with pytest.raises(StartError):
        Sockets([listener(f"127.0.0.1:{port}"), listener(f"unix:{tmp_path}/s", 1), listener(f"unix:{tmp_path}/file", 2)], 4, before=before)
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert (tmp_path / "s").exists()


def lent(address, count):
    """Sockets as those of a socket unit."""
    made = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(made[0].getsockname() if made else address)
        sock.listen()
        made.append(sock)
    return made


@pytest.mark.parametrize(("count", "dealt"), [(1, [[0], [0]]), (2, [[0], [1]]), (3, [[0, 2], [1]]), (5, [[0, 2, 4], [1, 3]])])
def test_lent_sockets_are_dealt_out_as_they_are(count, dealt):
    given = lent(("127.0.0.1", 0), count)
    one = listener(f"127.0.0.1:{given[0].getsockname()[1]}")
    sockets = Sockets([one], 2, given=Given([("l0", sock) for sock in given], [one]))
    fds = [sock.fileno() for sock in given]
    assert [[fds.index(fd) for _, fd in sockets.of_slot(slot)] for slot in range(2)] == dealt
    assert sockets.ours() == []
    after = Sockets([one], 3, before=sockets)    # a reload with another number of workers
    assert [sock.fileno() for sock in after.bound[0].sockets] == fds
    assert after.ends(0, sockets) == after.ends(2, sockets) == []
    sockets.turn_away()
    sockets.refuse()
    sockets.welcome()
    with socket.create_connection(given[0].getsockname(), timeout=5):
        after.leave()
    assert [sock.fileno() for sock in given] == [-1] * count


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_kept_stays_open_at_the_end(tmp_path, kept):
    listeners = [listener("127.0.0.1:0"), listener(f"unix:{tmp_path}/s", 1)]
    sockets = Sockets(listeners, 1, kept=kept)
    sockets.listen()
    copies = [bound.sockets[0].dup() for bound in sockets.bound]
    sockets.leave()
    assert (tmp_path / "s").exists() == kept
    for copy in copies:
        with copy, socket.socket(copy.family) as client:
            client.settimeout(5)
            if kept:
                client.connect(copy.getsockname())
            else:
                with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                    client.connect(copy.getsockname())


def test_after_a_rest_there_are_other_sockets_on_the_same_port(bind):
    sockets = bind(listener("127.0.0.1:0"))
    sockets.listen()
    where = sockets.bound[0].sockets[0].getsockname()
    before = {os.fstat(sock.fileno()).st_ino for sock in sockets.bound[0].sockets}
    sockets.turn_away()
    sockets.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=5)
    sockets.welcome()
    with socket.create_connection(where, timeout=5):
        pass
    assert before.isdisjoint({os.fstat(sock.fileno()).st_ino for sock in sockets.bound[0].sockets})
