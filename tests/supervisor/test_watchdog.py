"""Signs of life: who is asked, when, and what a late answer does."""

import pytest
import trio
import trio.testing

from edged.supervisor.watchdog import Watchdog
from tests.fakes.manager import Manager


class FakeChild:
    def __init__(self, name, pid):
        self.name, self.pid = name, pid
        self.told = []
        self.asked_s, self.is_up = None, True

    def answered(self):
        self.asked_s, self.is_up = None, True

    def tell(self, message):
        self.told.append(message["type"])


CONTROL, WORKER = "control", "worker 0"


class Scene:
    """Patience of 8 seconds: a turn every two, and an answer is late after four."""

    def __init__(self, manager):
        self.manager = manager
        self.children = [FakeChild(CONTROL, 1), FakeChild(WORKER, 2)]
        self.watchdog = Watchdog(8.0, lambda: self.children)

    def turn(self, at_s, *answer):
        """A turn, and who answers after it; whether there was a sign of life."""
        self.watchdog.turn(at_s)
        for child in self.children:
            if child.name in answer:
                child.answered()
        return self.manager.all() == [["WATCHDOG=1"]]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    manager = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    yield Scene(manager)
    manager.close()


def test_while_all_answer_there_are_signs_of_life(scene):
    for at_s in range(0, 20, 2):
        assert scene.turn(float(at_s), CONTROL, WORKER)
    assert [child.told for child in scene.children] == [["ping"] * 10] * 2


def test_who_is_late_is_named_once_and_stops_them(scene, caplog):
    assert scene.turn(0.0, CONTROL)
    assert scene.turn(2.0, CONTROL)              # half of the patience is not over
    assert not scene.turn(4.0, CONTROL)
    assert not scene.turn(6.0, CONTROL)
    assert [record.getMessage() for record in caplog.records] == [
        "worker 0 (process 2) does not answer: the service manager gets no sign of life"
    ]
    assert scene.children[1].told == ["ping"]    # nobody is asked twice for one answer


def test_an_answer_that_comes_late_starts_them_again(scene, caplog):
    scene.turn(0.0, CONTROL)
    assert not scene.turn(5.0, CONTROL, WORKER)
    assert scene.turn(6.0, CONTROL, WORKER)
    assert caplog.records[-1].getMessage() == "worker 0 (process 2) answers again"


def test_who_has_ended_is_not_late_and_its_successor_is_asked_anew(scene):
    scene.turn(0.0, CONTROL)
    assert not scene.turn(4.0, CONTROL)
    scene.children[1] = FakeChild(WORKER, 3)
    assert scene.turn(6.0, CONTROL)
    assert scene.children[1].told == ["ping"]
    assert scene.turn(8.0, CONTROL, WORKER)
    assert scene.turn(10.0)


def test_who_was_just_started_has_more_time_until_it_speaks(scene):
    scene.children[1].is_up = False
    assert scene.turn(0.0, CONTROL)
    assert scene.turn(59.0, CONTROL)
    assert not scene.turn(60.0, CONTROL, WORKER)
    assert scene.turn(62.0, CONTROL)
    assert not scene.turn(66.0, CONTROL)


def run_turns(scene, watchdog, every_s):
    """Five of them."""
    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watchdog.run)
            for _ in range(5):
                await trio.testing.wait_all_tasks_blocked()
                for child in scene.children:
                    child.answered()
                clock.jump(every_s)
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)


def test_turns_come_four_times_within_the_patience(scene):
    run_turns(scene, scene.watchdog, 2.0)
    assert scene.manager.all() == [["WATCHDOG=1"]] * 5


@pytest.mark.parametrize("patience_s", [0.0, 60.0])
def test_all_are_asked_every_few_seconds_however_long_the_patience_is(scene, patience_s):
    run_turns(scene, Watchdog(patience_s, lambda: scene.children), 2.5)
    assert [child.told for child in scene.children] == [["ping"] * 5] * 2
    assert scene.manager.all() == [["WATCHDOG=1"]] * (5 if patience_s else 0)


def test_who_does_not_answer_for_long_is_stuck(scene):
    watchdog = Watchdog(0.0, lambda: scene.children)
    watchdog.turn(100.0)
    assert watchdog.stuck(110.0) == []
    assert watchdog.stuck(110.1) == [WORKER]     # control has longer
    assert watchdog.stuck(160.1) == [CONTROL, WORKER]
    scene.children[1].answered()
    assert watchdog.stuck(160.1) == [CONTROL]
    scene.children[0].is_up = False              # nor has one that comes up spoken yet
    assert watchdog.stuck(160.1) == []


def test_before_a_time_without_turns_there_is_a_sign_of_life_if_there_are_any(scene):
    scene.watchdog.bridge(0.0)
    assert scene.manager.all() == [["WATCHDOG=1"]]
    Watchdog(0.0, lambda: scene.children).bridge(0.0)
    assert scene.manager.all() == []
    assert [child.told for child in scene.children] == [["ping"]] * 2
