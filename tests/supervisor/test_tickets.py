"""The secret of session tickets turns in the supervisor, too: who starts later is told a later one."""

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from edged.settings.load import read
from edged.supervisor import generation, process, secrets
from edged.supervisor.holdings import Holdings
from edged.tls.tickets import Ratchet

MINUTE = 60_000


class FakeChild:
    def __init__(self):
        self.told = []

    def tell(self, message, fds=()):
        self.told.append(message)


@pytest.fixture
def supervisor(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(
        '[[listener]]\naddress = "127.0.0.1:0"\nmode = "https"\n[worker]\ncount = 1\n[tls]\nticket_rotation = "1m"\n'
        f'[run]\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n'
    )
    settings, problems = read(str(path), {})
    assert problems == []
    made = process.Supervisor(Holdings.fresh(settings))
    yield made
    made.close()


def welcome(supervisor, place):
    """What a child that starts at this place is told."""
    child = FakeChild()

    async def main():
        first = generation.Generation(
            1, supervisor._held.settings, None, supervisor.sockets, range(1), supervisor.arena_fd, supervisor.tickets
        )
        first._welcome(place, child)

    trio.run(main)
    return child.told


def test_over_reloads_the_secret_stays_unless_it_turns_otherwise(supervisor):
    settings, before = supervisor._held.settings, supervisor.tickets
    assert secrets.fitting_tickets(settings, before) is before
    faster = replace(settings, tls=replace(settings.tls, ticket_rotation_ms=MINUTE * 2))
    assert secrets.fitting_tickets(faster, before).rotation_ms == MINUTE * 2
    assert secrets.fitting_tickets(replace(settings, tls=replace(settings.tls, session_tickets=False)), before) is None


def test_a_worker_is_told_the_secret_of_the_period_before_the_present_one(supervisor, monkeypatch):
    supervisor.tickets = Ratchet(MINUTE, 9, b"s" * 32)
    after = Ratchet(MINUTE, 9, b"s" * 32)
    after.turn(15 * MINUTE)
    monkeypatch.setattr(generation, "now_ms", lambda: 15 * MINUTE + 7)
    told = welcome(supervisor, 0)
    assert [message["type"] for message in told] == ["settings", "tickets"]
    assert told[1] == after.message()
    assert told[1]["period"] == 14


def test_control_is_told_no_secret(supervisor):
    assert [message["type"] for message in welcome(supervisor, generation.CONTROL)] == ["settings"]


def test_secrets_that_are_over_are_forgotten_as_time_goes_on(supervisor, monkeypatch):
    async def main():
        begun_s = trio.current_time()
        monkeypatch.setattr(process, "now_ms", lambda: 10 * MINUTE + int((trio.current_time() - begun_s) * 1000))
        supervisor.tickets = Ratchet(MINUTE, 9, b"s" * 32)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor._turn_tickets)
            await trio.sleep(59)
            assert supervisor.tickets.present == 10
            await trio.sleep(2)
            assert supervisor.tickets.present == 11
            await trio.sleep(180)
            assert supervisor.tickets.present == 14
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
