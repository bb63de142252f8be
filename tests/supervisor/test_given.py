"""Which of the sockets that the service manager gave goes to which listener, and what it keeps for us."""

import os
import socket
import stat

import pytest

from edged.errors import StartError
from edged.model.listener import Listener
from edged.settings.units import Address, address
from edged.supervisor.given import Given, Store
from tests.fakes.manager import Manager


def tcp(port=0, host="127.0.0.1", *, v6only=None):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if v6only is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    sock.bind((host, port))
    sock.listen()
    return sock


def port_of(sock):
    return sock.getsockname()[1]


def listener(name, where, number=0, **more):
    return Listener(number, name, where, **more)


@pytest.fixture
def manager(tmp_path, monkeypatch):
    one = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", one.address)
    monkeypatch.setenv("FDSTORE", "8")
    yield one
    one.close()


@pytest.fixture
def give():
    """give((name, socket), ..., listeners) as they come; at the end all are closed."""
    sockets = []

    def go(*pairs, listeners):
        sockets.extend(sock for _, sock in pairs)
        return Given(pairs, listeners)

    yield go
    for sock in sockets:
        sock.close()


def take(given, one):
    return given.take(one, address(one.address))


def test_a_socket_goes_to_the_listener_of_its_name(give):
    first, second = tcp(), tcp()
    web, site = listener("web", f"127.0.0.1:{port_of(second)}"), listener("site", f"127.0.0.1:{port_of(first)}", 1)
    given = give(("site", first), ("web", second), listeners=[web, site])
    assert [take(given, one).sockets for one in (web, site)] == [[second], [first]]
    given.close()
    assert first.fileno() > 0 < second.fileno()


def test_without_a_name_of_ours_it_goes_to_the_listener_of_its_address(give):
    sock = tcp()
    web = listener("web", f"127.0.0.1:{port_of(sock)}")
    for name in ("edged.socket", ""):
        taken = take(give((name, sock), listeners=[web]), web)
        assert (taken.sockets, taken.address, taken.lent) == ([sock], Address("127.0.0.1", port_of(sock)), True)


def test_a_name_is_stronger_than_an_address(give):
    sock = tcp()
    web, site = listener("web", f"127.0.0.1:{port_of(sock)}"), listener("site", "127.0.0.1:1", 1)
    given = give(("site", sock), listeners=[web, site])
    assert take(given, web) is None
    with pytest.raises(StartError) as caught:
        take(given, site)
    assert str(caught.value) == (
        f'listener "site": the socket unit of that name listens on 127.0.0.1:{port_of(sock)}, the settings say 127.0.0.1:1'
    )


def test_one_of_another_family_does_not_fit(give):
    sock = tcp(host="::", v6only=True)
    web = listener("web", f"[::]:{port_of(sock)}")
    with pytest.raises(StartError, match=rf"listens on \[::\]:{port_of(sock)} with v6only, the settings say \[::\]:{port_of(sock)}$"):
        take(give(("web", sock), listeners=[web]), web)
    only = listener("web", f"[::]:{port_of(sock)}", v6only=True)
    assert take(give(("web", sock), listeners=[only]), only).sockets == [sock]


def test_several_sockets_of_one_name_are_all_taken(give):
    first = tcp()
    second = tcp(port_of(first))
    web = listener("web", f"127.0.0.1:{port_of(first)}")
    assert take(give(("web", first), ("web", second), listeners=[web]), web).sockets == [first, second]


def test_what_was_kept_comes_in_the_order_of_slots_and_is_ours(give):
    first = tcp()
    second = tcp(port_of(first))
    web = listener("http:80", f"127.0.0.1:{port_of(first)}")
    taken = take(give(("http%80/1", second), ("http%80/0", first), listeners=[web]), web)
    assert (taken.sockets, taken.lent) == ([first, second], False)


@pytest.mark.parametrize("where", ["127.0.0.1:0", "127.0.0.1:{port}"])
def test_what_was_kept_has_the_port_that_was_found_before(give, where):
    sock = tcp()
    web = listener("web", where.format(port=port_of(sock)))
    assert take(give(("web/0", sock), listeners=[web]), web).address == Address("127.0.0.1", port_of(sock))


def test_a_listener_that_has_another_name_now_takes_what_was_kept_for_its_address(give):
    sock = tcp()
    web = listener("web", f"127.0.0.1:{port_of(sock)}")
    taken = take(give(("old/0", sock), listeners=[web]), web)
    assert (taken.sockets, taken.lent) == ([sock], False)


def test_what_was_kept_and_is_elsewhere_now_is_let_go(give, manager, caplog):
    caplog.set_level("INFO")
    sock = tcp()
    web = listener("web", "127.0.0.1:1")
    given = give(("web/0", sock), listeners=[web])
    where = sock.getsockname()
    assert take(given, web) is None
    given.close()
    assert manager.all() == [["FDSTOREREMOVE=1", "FDNAME=web/0"]]
    assert f"no longer listening on 127.0.0.1:{where[1]}: it was kept over the restart" in caplog.text
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=5)


def test_what_nobody_wants_is_closed_with_a_warning(give, manager, caplog):
    sock = tcp()
    where = sock.getsockname()
    give(("edged.socket", sock), listeners=[listener("web", "127.0.0.1:1")]).close()
    told = f'the service manager listens on 127.0.0.1:{where[1]}, "edged.socket", no listener of the settings does: closed'
    assert told in caplog.text
    assert sock.fileno() < 0
    assert manager.all() == []


def test_what_cannot_be_a_listener_is_closed_with_a_warning(give, caplog):
    ours, theirs = socket.socketpair()
    datagrams, unbound, nameless = socket.socket(type=socket.SOCK_DGRAM), socket.socket(), socket.socket(socket.AF_UNIX)
    give(("a", ours), ("b", datagrams), ("c", unbound), ("d", nameless), listeners=[])
    theirs.close()
    assert [record.getMessage() for record in caplog.records] == [
        'socket "a" of the service manager has no path: closed',
        'socket "b" of the service manager is no stream socket: closed',
        'socket "c" of the service manager has no port: closed',
        'socket "d" of the service manager has no path: closed',
    ]
    assert all(sock.fileno() < 0 for sock in (ours, datagrams, unbound, nameless))


def test_a_connection_is_no_listener(give, caplog):
    with tcp() as door, socket.create_connection(door.getsockname()):
        give(("web", door.accept()[0]), listeners=[])
    assert 'socket "web" of the service manager is connected: closed' in caplog.text


def test_unix_sockets_are_known_by_path_if_their_file_is_there(give, tmp_path):
    path = tmp_path / "s"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    one = listener("local", f"unix:{path}")
    assert take(give(("local/0", sock), listeners=[one]), one).address == Address(path=str(path))
    assert stat.S_ISSOCK(path.stat().st_mode)
    given = give(("local/0", sock), listeners=[one])
    path.unlink()
    assert take(given, one) is None


# the store


def test_every_socket_is_kept_by_listener_and_slot_and_once(manager):
    with tcp() as first, tcp(port_of(first)) as second, tcp() as third:
        store = Store({})
        for _ in range(2):
            store.keep([("http:80", [first, second]), ("site", [third])])
        assert [name for name, _ in sorted(manager.all() and manager.stored)] == ["http%80/0", "http%80/1", "site/0"]
        inodes = [os.fstat(fd).st_ino for _, fd in sorted(manager.stored)]
        assert inodes == [os.fstat(sock.fileno()).st_ino for sock in (first, second, third)]


def test_what_is_there_already_is_not_sent_again(manager, give):
    sock = tcp()
    given = give(("web/0", sock), listeners=[])
    store = Store(given.names)
    store.keep([("web", [sock])])
    assert manager.all() == []


def test_what_has_gone_or_changed_its_name_is_forgotten(manager):
    with tcp() as first, tcp() as second:
        store = Store({})
        store.keep([("a", [first]), ("b", [second])])
        manager.all()
        store.keep([("c", [first])])
        assert manager.all() == [
            ["FDSTOREREMOVE=1", "FDNAME=a/0"], ["FDSTOREREMOVE=1", "FDNAME=b/0"], ["FDSTORE=1", "FDNAME=c/0", "FDPOLL=0"],
        ]
        assert [name for name, _ in manager.stored] == ["c/0"]


def test_a_store_that_is_too_small_is_told_once(manager, monkeypatch, caplog):
    monkeypatch.setenv("FDSTORE", "1")
    with tcp() as first, tcp() as second:
        store = Store({})
        store.keep([("web", [first, second])])
        store.keep([("web", [first, second])])
        manager.all()
        assert [name for name, _ in manager.stored] == ["web/0"]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the service manager keeps 1 of 2 sockets: FileDescriptorStoreMax is too low"]


def test_where_nothing_is_kept_nobody_is_asked(manager, monkeypatch):
    monkeypatch.delenv("FDSTORE")
    with tcp() as sock:
        store = Store({})
        assert not store.is_there
        store.keep([("web", [sock])])
    assert manager.all() == []
