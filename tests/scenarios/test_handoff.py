"""Reloads and upgrades under every kind of load at once, each byte of it checked: nothing is refused, reset or cut short, and nothing is
left behind.

The long form, beside HAProxy, is `make handoff`."""

import signal

import pytest

from bench.loads.handoff.play import steps
from bench.loads.handoff.program import Guests
from bench.loads.handoff.readiness import Prober
from bench.loads.handoff.visits import KINDS, Doors, Plan
from tests.scenarios.harness.processes import anonymous_bytes, children, descriptors, name_of
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.until import until

COME_S = 90.0                                    # for a generation, on a machine that is busy
RELOADS, UPGRADES = 10, 2
HOST, THROUGH = "checked.test", "through.test"
GROWTH_MOST_BYTES = 2 * 1024 * 1024
CLIENTS = dict.fromkeys((*KINDS, *(f"{kind} tls" for kind in ("anew", "kept", "uploads", "downloads", "websockets"))), 2)
AT_REST = ["edged control", "edged worker 0", "edged worker 1"]


@pytest.fixture
def guests(authority, tmp_path):
    certificate = tmp_path / "endpoint.pem"
    certificate.write_text(authority.issue("endpoint", [THROUGH]).bundle)
    one = Guests(certificate)
    yield one
    one.leave()


def families(edged) -> list[str]:
    return sorted(name_of(pid) for pid in children(edged.pid))


def replace(edged, number: int, *, upgrade: bool = False) -> None:
    """By the generation of that number."""
    edged.process.send_signal(signal.SIGUSR2 if upgrade else signal.SIGHUP)
    edged.until_said(rf"generation {number} serves", COME_S)


@pytest.mark.timeout(600)
def test_reloads_and_upgrades_under_load_lose_nothing(daemon, guests):
    doors = [*TLS["listener"], {"name": "pipe", "address": "127.0.0.1:0", "mode": "tcp", "route": "pipe"}]
    at = {service: [f"127.0.0.1:{port}"] for service, port in guests.ports.items()}
    edged = daemon({"listener": doors, "worker": {"count": 2}, "run": {"drain_timeout": "90s", "generations_most": 16}}, [
        {"name": "checked", "host": HOST, "to": at["http"], "tls": {"insecure": "allow"}},
        {"name": "through", "host": THROUGH, "to": at["through"], "tls": {"termination": "passthrough"}},
        {"name": "pipe", "to": at["tcp"]},
    ])
    replace(edged, 2)
    until(lambda: families(edged) == AT_REST, COME_S, "the first generation has left")
    before = descriptors(edged.pid).total(), anonymous_bytes(edged.pid)
    web, tls, pipe = (edged.address(name)[1] for name in ("web", "tls", "pipe"))
    guests.begin(Plan(Doors(web, tls, pipe, tls, HOST, THROUGH), CLIENTS, body_bytes=200_000, seconds=20))
    requests = [edged.arena.totals()["requests"]]
    prober = Prober(edged.directory / "run/health.sock")
    for number, upgrade in enumerate(steps(RELOADS, UPGRADES), 3):
        replace(edged, number, upgrade=upgrade)
        requests.append(edged.arena.totals()["requests"])
    prober.end()
    counts = guests.end()
    assert prober.ready
    assert prober.others == []
    assert {kind: one["examples"] for kind, one in counts.items() if one["faults"]} == {}
    assert {kind for kind in CLIENTS if not counts[kind]["done"]} == set()
    until(lambda: families(edged) == AT_REST, COME_S, "the old generations have left")
    assert edged.said("[1-9][0-9]* handed over")
    assert not edged.said(r"[1-9]\d* cut|was ended by|is ended:")
    edged.until_idle()
    assert requests == sorted(requests)
    served = sum(one["done"] for kind, one in counts.items() if kind not in ("tcp", "passthrough"))
    assert edged.arena.totals()["requests"] >= served
    until(lambda: descriptors(edged.pid).total() <= before[0], what="the supervisor has no more descriptors than before")
    assert anonymous_bytes(edged.pid) - before[1] < GROWTH_MOST_BYTES
