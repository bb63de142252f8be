"""The secret of session tickets turns in the supervisor, too: who starts later is told a later one."""

import pytest
import trio
from trio.testing import MockClock

from edged.settings.load import read
from edged.supervisor import process
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
    made = process.Supervisor(settings, 0.0)
    yield made
    made.close()


def test_a_worker_is_told_the_secret_of_the_period_before_the_present_one(supervisor, monkeypatch):
    supervisor._tickets = Ratchet(MINUTE, 9, b"s" * 32)
    after = Ratchet(MINUTE, 9, b"s" * 32)
    after.turn(15 * MINUTE)
    monkeypatch.setattr(process, "now_ms", lambda: 15 * MINUTE + 7)
    child = FakeChild()
    supervisor._welcome(0, child)
    assert [message["type"] for message in child.told] == ["settings", "tickets"]
    assert child.told[1] == after.message()
    assert child.told[1]["period"] == 14


def test_control_is_told_no_secret(supervisor):
    child = FakeChild()
    supervisor._welcome(process.CONTROL, child)
    assert [message["type"] for message in child.told] == ["settings"]


def test_secrets_that_are_over_are_forgotten_as_time_goes_on(supervisor, monkeypatch):
    async def main():
        begun_s = trio.current_time()
        monkeypatch.setattr(process, "now_ms", lambda: 10 * MINUTE + int((trio.current_time() - begun_s) * 1000))
        supervisor._tickets = Ratchet(MINUTE, 9, b"s" * 32)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor._turn_tickets)
            await trio.sleep(59)
            assert supervisor._tickets.present == 10
            await trio.sleep(2)
            assert supervisor._tickets.present == 11
            await trio.sleep(180)
            assert supervisor._tickets.present == 14
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
