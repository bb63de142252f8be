"""The control process as the supervisor and the workers see it, in this process: wires and tables are real."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import edged.control.process as room
from edged._fast.memory.arena import Arena
from edged.control.process import control_main
from edged.control.recall import FILE
from edged.hooks import SettingsError, Snapshot, SourceError
from edged.hooks.manager import Plugins
from edged.model.listener import Listener, Mode
from edged.settings import InvalidSettings, Settings
from edged.wire import Wire, wire_pair
from tests.control.given import Given, endpoints, play, route, thing, until
from tests.control.house import House, Setting


def test_the_first_table_then_ready_then_every_change(stage: Setting) -> None:
    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("a", "a", to=["127.0.0.1:1"]))
        assert await house.wait_ready() == {"type": "ready", "routes": 1}
        await until(lambda: worker.routes == ["a"])
        for n in range(5):
            await given(route("a", "a"), route(f"b{n}", "b"))
            await until(lambda n=n: worker.routes == ["a", f"b{n}"])
        late = await house.worker(nursery, 1)
        await until(lambda: late.versions == worker.versions[-1:])

    stage([given], story)


def test_what_changes_nothing_makes_no_table(stage: Setting) -> None:
    given = Given()
    one = route("a", "a")

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        for _ in range(3):
            await given(one)
        await house.wait_ready()
        await given(one, route("b", "b"))
        await until(lambda: worker.routes == ["a", "b"])
        assert len(worker.versions) == 2

    stage([given], story)


def test_all_sources_are_waited_for(stage: Setting) -> None:
    one, two = Given("one"), Given("two")

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await one(route("1", "one"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert worker.versions == []
        await two(route("2", "two"))
        assert await house.wait_ready() == {"type": "ready", "routes": 2}

    stage([one, two], story)


def test_a_source_that_ends_or_gives_nothing_at_all_holds_nobody_up(stage: Setting) -> None:
    class Silent(Given):
        async def run(self, publish: Any) -> None:
            return

    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        await given(route("a"))
        assert (await house.wait_ready())["routes"] == 1

    stage([given, Silent("silent")], story)


def test_without_any_source_there_is_an_empty_table(stage: Setting) -> None:
    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        assert await house.wait_ready() == {"type": "ready", "routes": 0}
        await until(lambda: worker.versions)

    stage([], story)


class Away(Given):
    async def run(self, publish: Any) -> None:
        raise SourceError("the cluster cannot be reached")


def test_restarted_it_serves_what_a_silent_source_gave_before(stage: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_RECALL_AFTER_S", 0.2)
    given, there = Given("cluster"), Given("there")
    seen: list[int] = []

    async def first(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("kept", "kept", to=["10.0.0.1:1"], where="cluster"))
        await there(route("old", "old", where="there"))
        await house.wait_ready()
        await until(lambda: worker.routes == ["kept", "old"])
        seen.extend(worker.versions)

    async def second(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await there(route("new", "new", where="there"))
        await house.wait_ready()
        await until(lambda: worker.routes == ["kept", "new"])
        assert worker.versions[0] > seen[-1]

    stage([given, there], first)
    there = Given("there")
    stage([Away("cluster"), there], second)


def test_a_table_that_serves_is_never_replaced_by_an_empty_one_for_want_of_a_source(
    stage: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "_WAIT_MOST_S", 0.2)
    monkeypatch.setattr(room, "_RECALL_AFTER_S", 0.2)
    monkeypatch.setattr(room._Control, "_version_in_force", lambda _: 7)
    given = Given("cluster")

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await until(lambda: "keep the table they have until source cluster has spoken" in caplog.text)
        assert worker.versions == []
        await given(route("a", "a"))
        await house.wait_ready()
        await until(lambda: worker.versions and worker.versions[0] > 7)

    stage([given], story)
    assert (tmp_path / "state" / FILE).exists()


def test_plugins_that_raise_block_or_flood_change_nothing_for_the_others(stage: Setting, caplog: pytest.LogCaptureFixture) -> None:
    class Raises(Given):
        async def run(self, publish: Any) -> None:
            await publish(Snapshot((route("brief", "brief"),)))
            raise RuntimeError("by design")

    class Floods(Given):
        async def run(self, publish: Any) -> None:
            n = 0
            while True:
                n += 1
                await publish(Snapshot((route("flood", "flood", line=n % 7),)))

    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("a", "a"))
        await house.wait_ready()
        for n in range(5):
            await given(route(f"a{n}", "a"))
            await until(lambda n=n: worker.routes == [f"a{n}", "brief", "flood"])
        await until(lambda: "source flood floods" in caplog.text)

    stage([given, Raises("raises"), Floods("flood")], story)
    assert "plugin test failed: RuntimeError: by design" in caplog.text


def test_objects_become_routes_and_an_endpoint_change_a_table(stage: Setting) -> None:
    from tests.control.test_admit import Doors

    given = Given()
    door = thing("Door", "web")

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(objects=[door, endpoints("web", "10.0.0.1")])
        await house.wait_ready()
        await until(lambda: worker.versions)
        await given(objects=[door, endpoints("web", "10.0.0.2")])
        await until(lambda: len(worker.versions) == 2)
        await given(objects=[door, endpoints("web", "10.0.0.2")])
        await given(route("end", "end"), objects=[door, endpoints("web", "10.0.0.2")])
        await until(lambda: "end" in worker.routes)
        assert len(worker.versions) == 3

    stage([given], story, kinds=[Doors()])


def test_slots_are_freed_once_every_worker_has_moved_on(stage: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_FREE_AFTER_S", 0.0)
    given = Given()

    async def story(house: House, nursery: trio.Nursery) -> None:
        await house.worker(nursery, 0)
        arena = Arena(house.arena_fd)
        await given(route("a", "a", to=["10.0.0.1:1", "10.0.0.2:1"]))
        await house.wait_ready()
        await given(route("a", "a", to=["10.0.0.1:1"]))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(Arena(house.arena_fd).slots_by_key()) == 3    # a worker is away still: who knows what it has
        await house.worker(nursery, 1)
        await given(route("a", "a", to=["10.0.0.1:1"]), route("b", "b"))
        await until(lambda: len(Arena(house.arena_fd).slots_by_key()) == 3)
        assert arena.slots == 256

    stage([given], story, workers=2)


def test_a_listener_whose_route_is_missing_is_named_once(stage: Setting, caplog: pytest.LogCaptureFixture) -> None:
    given = Given()
    listener = Listener(0, "db", "127.0.0.1:1", Mode.TCP, route="postgres")

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        for n in range(3):
            await given(route(f"a{n}", "a"))
            await until(lambda n=n: worker.routes == [f"a{n}"])
        await house.wait_ready()

    stage([given], story, listeners=(listener,))
    assert caplog.text.count("listener db: there is no route postgres") == 1


def test_unknown_messages_and_descriptors_do_no_harm(stage: Setting, caplog: pytest.LogCaptureFixture) -> None:
    async def story(house: House, nursery: trio.Nursery) -> None:
        await house.wait_ready()
        before = len(os.listdir("/proc/self/fd"))
        await house.supervisor.send({"type": "greetings"}, [2, 2])
        await house.supervisor.send({"type": "worker", "index": "first"}, [2])
        await until(lambda: caplog.text.count("unknown message") == 2)
        await until(lambda: len(os.listdir("/proc/self/fd")) == before)

    stage([], story)


def test_without_a_supervisor_there_is_no_control(stage: Setting, caplog: pytest.LogCaptureFixture) -> None:
    async def story(house: House, nursery: trio.Nursery) -> None:
        await house.wait_ready()
        house.supervisor.close()
        await until(lambda: "the supervisor is gone" in caplog.text)
        house.supervisor = Wire(wire_pair()[0])

    with pytest.raises(BaseExceptionGroup):
        stage([], story)


def test_settings_that_a_plugin_refuses_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SettingsError("files.paths", "write a list")

    monkeypatch.setattr(Plugins, "sources", refuse)
    settings = Settings("edged.toml", str(tmp_path), lines={"sources.files.paths": 4})
    fd = os.memfd_create("arena")

    async def story() -> None:
        with pytest.raises(InvalidSettings, match=r"^edged\.toml:4: sources\.files\.paths: write a list$"):
            await control_main(settings, Wire(wire_pair()[0]), fd, 0)

    play(story)


def test_a_lone_change_is_in_force_within_milliseconds(stage: Setting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    given = Given()
    took_s: list[float] = []

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await given(route("a", "a"))
        await house.wait_ready()
        for n in range(10):
            await trio.sleep(0.05)
            started_s = trio.current_time()
            await given(route("a", "a", line=n + 1))
            await until(lambda n=n: len(worker.versions) == n + 2)
            took_s.append(trio.current_time() - started_s)

    stage([given], story)
    assert sorted(took_s)[len(took_s) // 2] < 0.05
