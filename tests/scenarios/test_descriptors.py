"""No descriptor is left: accepting pauses, what is open goes on, and it all recovers."""

import contextlib
import itertools
import resource

from tests.scenarios.harness.client import get
from tests.scenarios.harness.processes import descriptor_tables
from tests.scenarios.harness.until import until


def leave_descriptors(pid: int, count: int) -> None:
    """Let a worker's engine open so many more, and no others. The limit is on their numbers: the lowest free one is given first."""
    taken = set(descriptor_tables(pid)[-1])
    free = (number for number in itertools.count() if number not in taken)
    limit = next(itertools.islice(free, count, None))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))


def test_accepting_pauses_when_descriptors_are_exhausted_and_goes_on_later(daemon, backend):
    edged = daemon(routes=[{"host": "*", "to": [backend().address]}])
    with edged.connect() as early:
        assert early.ask("/early").status == 200
        leave_descriptors(edged.worker_pid(), 20)
        crowd = [edged.connect() for _ in range(60)]          # the kernel takes them all; the worker cannot
        told = edged.until_said("accepting pauses")
        assert "worker 0" in told
        assert early.ask("/meanwhile").status == 200
        assert edged.arena.totals()["accept_paused"] >= 1
        for client in crowd[:50]:
            client.close()
        edged.until_said("accepting again")
        for client in crowd[50:]:
            assert client.ask("/waited").status == 200
            client.close()
    edged.until_idle()
    assert get(edged.address()).status == 200
    assert len(edged.said("accepting pauses")) < 5       # said, not shouted


def test_a_request_that_finds_no_descriptor_for_its_endpoint_is_told(daemon, backend):
    edged = daemon(routes=[{"host": "*", "to": [backend().address], "retries": 0}])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(edged.connect()) for _ in range(8)]
        until(lambda: edged.gauges()["connections"] == 8)
        leave_descriptors(edged.worker_pid(), 0)
        assert clients[0].ask().status == 503
        leave_descriptors(edged.worker_pid(), 100)
        until(lambda: clients[0].ask().status == 200)
    edged.until_idle()


def test_the_limit_of_connections_makes_clients_wait_and_refuses_nobody(daemon, backend):
    edged = daemon({"worker": {"max_connections": 20}}, [{"host": "*", "to": [backend().address]}])
    clients = [edged.connect() for _ in range(50)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for client in clients:
        assert client.answer().status == 200
        client.close()
    edged.until_idle()


def test_at_the_limit_nobody_is_accepted_until_somebody_leaves(daemon, backend):
    edged = daemon({"worker": {"max_connections": 4}}, [{"host": "*", "to": [backend().address]}])
    inside = [edged.connect() for _ in range(4)]
    for client in inside:
        assert client.ask().status == 200
    with edged.connect() as outside:
        outside.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert outside.silent_s(0.2)
        assert edged.gauges()["connections"] == 4
        inside[0].close()
        assert outside.answer().status == 200
    for client in inside[1:]:
        client.close()
