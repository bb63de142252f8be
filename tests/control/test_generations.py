"""Control beside that of another generation: who makes tables, claims slots, and keeps the state on disk."""

from pathlib import Path

import pytest
import trio
import trio.testing

import edged.control.process as room
import edged.control.recall as recall
from edged._fast.memory.arena import Arena
from edged.control.recall import FILE
from tests.control.given import Given, route, until
from tests.control.house import House, Setting


def test_while_it_pauses_no_table_is_made_and_no_slot_claimed(stage: Setting) -> None:
    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("a", "a", to=["10.0.0.1:1"]))
        await house.wait_ready()
        await until(lambda: worker.routes == ["a"])
        await house.supervisor.send({"type": "pause"})
        assert await house.supervisor.receive() == ({"type": "paused"}, [])
        slots = Arena(house.arena_fd).slots_by_key()
        await given(route("a", "a"), route("b", "b", to=["10.0.0.2:1"]))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert worker.routes == ["a"]
        assert Arena(house.arena_fd).slots_by_key() == slots
        other = Arena(house.arena_fd).claim_slot(77)             # as the next generation's control does
        await house.supervisor.send({"type": "resume"})
        await until(lambda: worker.routes == ["a", "b"])
        claimed = Arena(house.arena_fd).slots_by_key()
        assert claimed[77] == other
        assert len(set(claimed.values())) == len(claimed)

    stage([given], story)


def test_slots_are_not_freed_while_workers_of_another_generation_may_name_them(stage: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_FREE_AFTER_S", 0.01)
    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        Arena(house.arena_fd).claim_slot(77)                     # what only the table of the other names
        await house.supervisor.send({"type": "others", "control": True, "workers": True})
        worker = await house.worker(nursery)
        await given(route("a", "a", to=["10.0.0.1:1"]))
        await house.wait_ready()
        await until(lambda: worker.routes == ["a"])
        await house.supervisor.send({"type": "others", "control": False, "workers": True})
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert 77 in Arena(house.arena_fd).slots_by_key()
        await house.supervisor.send({"type": "others", "control": False, "workers": False})
        await until(lambda: 77 not in Arena(house.arena_fd).slots_by_key())

    stage([given], story)


def test_the_state_is_kept_by_the_last_control_alone(stage: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recall, "_LEAST_PAUSE_S", 0.01)
    given = Given()
    file = tmp_path / "state" / FILE

    async def story(house: House, nursery: trio.Nursery) -> None:
        await house.supervisor.send({"type": "others", "control": True, "workers": True})
        await house.worker(nursery)
        await given(route("a", "a"))
        await house.wait_ready()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not file.exists()
        await house.supervisor.send({"type": "others", "control": False, "workers": True})
        await until(file.exists)

    stage([given], story)


def test_retired_it_keeps_nothing(stage: Setting, tmp_path: Path) -> None:
    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        await house.worker(nursery)
        await given(route("a", "a"))
        await house.wait_ready()
        await house.supervisor.send({"type": "retire"})

    stage([given], story)
    assert not (tmp_path / "state" / FILE).exists()
