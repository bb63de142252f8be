"""Reloads under load: nothing is refused, reset or cut short, and afterwards all is as it was."""

import re
import signal
import time

import pytest

from tests.scenarios.harness.backend import Gate
from tests.scenarios.harness.client import get, request_bytes
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.processes import anonymous_bytes, children, descriptors, name_of
from tests.scenarios.harness.settings import TLS, merged, toml
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until
from tests.scenarios.harness.visitors import Visitors, usual_visits

COME_S = 90.0                                    # for a generation, on a machine that is busy
HOST = "one.test"
ROUNDS = 10
SLOW_BYTES = 2 * MIB
GROWTH_MOST_BYTES = 2 * MIB


def serves_all(peer):
    """/slow is a download that takes its time; all else is answered at once."""
    while True:
        request = peer.request()
        if request.target != "/slow":
            peer.reply(b"here")
            continue
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SLOW_BYTES)
        whole = content(SLOW_BYTES)
        for at in range(0, SLOW_BYTES, SLOW_BYTES // 32):
            peer.send(whole[at:at + SLOW_BYTES // 32])
            time.sleep(0.02)                     # the point of it


def reload(edged, number):
    edged.process.send_signal(signal.SIGHUP)
    edged.until_said(rf"generation {number} serves", COME_S)


def reload_and_leave(edged, number):
    reload(edged, number)
    edged.until_said(rf"generation {number - 1} has left", COME_S)


def change(edged, settings):
    edged.settings = merged(edged.settings, settings)
    edged.config.write_text(toml(edged.settings))


@pytest.mark.timeout(600)
def test_ten_reloads_under_load_lose_nothing(daemon, backend, authority):
    shown = certificate_of(authority.issue("of one", [HOST]))
    routes = document(*exposed(
        "one", HOST, backend(serves_all).address, tls={"termination": "edge", "insecureEdgeTerminationPolicy": "Allow", **shown},
    ))
    edged = daemon({**TLS, "worker": {"count": 2}, "run": {"drain_timeout": "60s"}}, routes)

    def downloads_slowly():
        answer = get(edged.address(), "/slow", host=HOST)
        assert answer.sha256 == sha256(content(SLOW_BYTES))
        yield

    visitors = Visitors(*usual_visits(edged, client_context(authority), HOST), downloads_slowly)
    sizes = {}
    for number in range(2, 2 + ROUNDS):
        reload_and_leave(edged, number)
        visitors.go_on()
        sizes[number] = anonymous_bytes(edged.pid), descriptors(edged.pid).total()
    visitors.leave()
    assert not visitors.wrong
    edged.until_idle()
    assert not edged.said("[1-9][0-9]* cut")
    names = sorted(name_of(pid) for pid in children(edged.pid))
    assert names == ["edged control", "edged worker 0", "edged worker 1"]
    first, last = sizes[3], sizes[1 + ROUNDS]
    assert last[0] - first[0] < GROWTH_MOST_BYTES
    assert last[1] <= first[1] + 2               # a wire may be on its way
    # Nothing was forgotten, over all generations.
    assert edged.arena.totals()["requests"] >= sum(visitors.served.values())


@pytest.fixture
def edged(daemon, backend):
    return daemon({"worker": {"count": 2}, "run": {"drain_timeout": "60s"}}, [{"host": "*", "to": [backend().address]}])


def test_new_settings_are_in_force(edged):
    assert get(edged.address(), "/" + "x" * 9000).status == 200
    change(edged, {"worker": {"max_target_bytes": 1000}})
    reload_and_leave(edged, 2)
    assert get(edged.address(), "/" + "x" * 9000).status == 414


def test_sources_are_read_again(edged):
    (edged.routes_dir / "routes.yaml").write_text("{}")
    reload_and_leave(edged, 2)
    until(lambda: get(edged.address()).status == 503)


def test_settings_that_are_wrong_change_nothing(edged):
    before = children(edged.pid)
    edged.config.write_text(toml(edged.settings) + '[timeouts]\nclient = "soon"\n')
    edged.process.send_signal(signal.SIGHUP)
    edged.until_said(rf"error: {re.escape(str(edged.config))}:\d+: timeouts\.client: ", COME_S)
    edged.until_said("generation 1 goes on as it is")
    assert children(edged.pid) == before
    assert get(edged.address()).status == 200


def test_what_a_plugin_refuses_is_told_and_changes_nothing(edged):
    before = children(edged.pid)
    change(edged, {"sources": {"files": {"paths": ["routes.d"], "no_such_key": 1}}})
    edged.process.send_signal(signal.SIGHUP)
    edged.until_said(rf"error: {re.escape(str(edged.config))}:\d+: sources\.files.*no_such_key", COME_S)
    edged.until_said("generation 1 goes on as it is", COME_S)
    until(lambda: children(edged.pid) == before)
    assert get(edged.address()).status == 200
    edged.change_routes([{"host": "other.test", "to": ["127.0.0.1:1"]}])        # its control goes on, too
    assert get(edged.address()).status == 503


def test_an_idle_client_is_let_go_and_a_new_one_is_served(edged):
    with edged.connect() as idle:
        assert idle.ask().status == 200
        reload_and_leave(edged, 2)
        assert idle.rest() == b""
    assert get(edged.address()).status == 200


def test_the_last_answer_says_so(daemon, backend):
    gate = Gate()

    def waits(peer):
        peer.request()
        gate.pass_()
        peer.reply(b"late")

    routes = [{"host": "*", "to": [backend(waits).address]}, {"host": "quick.test", "to": [backend().address]}]
    edged = daemon({"run": {"drain_timeout": "60s"}}, routes)
    with edged.connect() as client, edged.connect() as idle:
        assert idle.ask(host="quick.test").status == 200
        client.send(request_bytes())
        gate.wait_for_somebody()
        reload(edged, 2)
        assert idle.rest() == b""                # it drains
        gate.open()
        answer = client.answer()
        assert (answer.status, answer.body) == (200, b"late")
        assert answer.get("connection") == "close"
        assert client.rest() == b""
    edged.until_said("generation 1 has left: 1 exchange finished", COME_S)


def test_counters_are_those_of_a_listeners_name(daemon, backend):
    two = [{"name": name, "address": "127.0.0.1:0"} for name in ("first", "second")]
    edged = daemon({"listener": two}, [{"host": "*", "to": [backend().address]}])

    def requests(number):
        return edged.arena.listener_totals(number)["requests"]

    for _ in range(3):
        assert get(edged.address("second")).status == 200
    change(edged, {"listener": [{"name": "third", "address": "127.0.0.1:0"}, two[1]]})
    reload_and_leave(edged, 2)
    assert get(edged.address("third")).status == 200
    assert get(edged.address("second")).status == 200
    until(lambda: [requests(number) for number in range(3)] == [0, 4, 1])
    change(edged, {"listener": [two[0], two[1]]})
    reload_and_leave(edged, 3)
    assert get(edged.address("first")).status == 200
    until(lambda: [requests(number) for number in range(3)] == [1, 4, 1])


def test_listeners_come_and_go_under_load(edged):
    def anew():
        assert get(edged.address(), Connection="close").status == 200
        yield

    visitors = Visitors(anew)
    change(edged, {"listener": [*edged.settings["listener"], {"name": "more", "address": "127.0.0.1:0"}]})
    reload_and_leave(edged, 2)
    more = edged.address("more")
    assert get(more).status == 200
    change(edged, {"listener": edged.settings["listener"][:1]})
    reload_and_leave(edged, 3)
    with pytest.raises(ConnectionRefusedError):
        get(more)
    visitors.leave()
    assert not visitors.wrong


def test_more_workers_and_fewer_under_load(edged):
    def anew():
        assert get(edged.address(), Connection="close").status == 200
        yield

    visitors = Visitors(anew)
    for number, count in enumerate((4, 1, 3), 2):
        change(edged, {"worker": {"count": count}})
        reload_and_leave(edged, number)
        visitors.go_on()
        names = [name for pid in children(edged.pid) if (name := name_of(pid)).startswith("edged worker")]
        assert len(names) == count
    visitors.leave()
    assert not visitors.wrong
    edged.until_idle()


def test_the_deadline_cuts_and_says_so(daemon, backend):
    def never_ends(peer):
        peer.request()
        peer.until_gone()

    edged = daemon({"run": {"drain_timeout": "500ms"}}, [{"host": "*", "to": [backend(never_ends).address]}])
    with edged.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: edged.gauges()["exchanges"] == 1)
        reload(edged, 2)
        edged.until_said("generation 1 has left: 0 exchanges finished, 0 handed over, 1 cut", COME_S)
        assert client.until_gone() == b""


def test_new_code_counts(edged):
    """Each child is a process that was executed anew."""
    before = set(children(edged.pid))
    reload_and_leave(edged, 2)
    assert not before & set(children(edged.pid))
