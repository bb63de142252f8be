"""Sources at work: restarts, floods, and the newest that wins."""

import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from edged.control.sources import Inbox, SourceRunner, growing
from edged.hooks import Snapshot, SourceError
from edged.hooks.manager import OfferedSource
from tests.control.given import Given, route

Publish = Callable[[Snapshot], Awaitable[None]]


def snapshot(name: str) -> Snapshot:
    return Snapshot((route(name),))


def told(taken: dict[str, Snapshot]) -> dict[str, str]:
    return {name: one.routes[0].key for name, one in taken.items()}


def runner(inbox: Inbox, run: Callable[[Publish], Awaitable[None]]) -> SourceRunner:
    source = Given("given")
    source.run = run  # type: ignore[method-assign]
    return SourceRunner(OfferedSource("test", source), inbox)


def virtual(story: Callable[[], Awaitable[None]]) -> None:
    """Time passes as fast as everybody waits."""
    trio.run(story, clock=trio.testing.MockClock(autojump_threshold=0))


def test_pauses_grow_to_a_minute() -> None:
    assert list(itertools.islice(growing(), 9)) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_newest_snapshot_wins_and_its_sender_waits_until_it_is_taken() -> None:
    async def story() -> None:
        inbox, sent = Inbox(), []

        async def send() -> None:
            for name in "abc":
                await inbox.put("s", snapshot(name))
                sent.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            assert sent == ["a"]
            assert told(inbox.take()) == {"s": "b"}
            await trio.testing.wait_all_tasks_blocked()
            assert sent == ["a", "b", "c"]
            assert told(inbox.take()) == {"s": "c"}
            assert inbox.take() == {}

    virtual(story)


def test_one_source_does_not_wait_for_another() -> None:
    async def story() -> None:
        inbox = Inbox()
        await inbox.put("one", snapshot("a"))
        await inbox.put("two", snapshot("b"))
        await inbox.wait()
        assert told(inbox.take()) == {"one": "a", "two": "b"}

    virtual(story)


def test_a_flood_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        inbox = Inbox()

        async def flood(publish: Publish) -> None:
            while True:
                await publish(snapshot("x"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner(inbox, flood).run)
            for _ in range(200):
                await inbox.wait()
                await trio.testing.wait_all_tasks_blocked()
                inbox.take()
            nursery.cancel_scope.cancel()

    virtual(story)
    assert [record.getMessage() for record in caplog.records if "floods" in record.getMessage()] == [
        "source given floods: it gives snapshots faster than they can be used; only its newest counts"
    ]


@pytest.mark.parametrize(("why", "line"), [
    (SourceError("no route to host"), "source given is away, its last routes stay in force: no route to host"),
    (ValueError("oops"), "source given: plugin test failed: ValueError: oops; its last routes stay in force"),
    (SystemExit(3), "source given: plugin test failed: SystemExit: 3; its last routes stay in force"),
    (ExceptionGroup("g", [SourceError("a"), SourceError("b")]), "source given is away, its last routes stay in force: a; b"),
    (ExceptionGroup("g", [SourceError("a"), KeyError("b")]), "plugin test failed: a; KeyError: 'b'"),
])
def test_a_source_that_fails_is_started_again_after_growing_pauses(why: BaseException, line: str, caplog: pytest.LogCaptureFixture) -> None:
    starts_s: list[float] = []

    async def fail(publish: Publish) -> None:
        starts_s.append(trio.current_time())
        await publish(snapshot("x"))
        raise why

    async def story() -> None:
        inbox = Inbox()
        made = runner(inbox, fail)
        with trio.move_on_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(made.run)
                while True:
                    await inbox.wait()
                    inbox.take()
        assert made.stale

    virtual(story)
    assert [round(b - a) for a, b in itertools.pairwise(starts_s)] == [1, 2, 4, 8]
    assert line in caplog.text


def test_one_that_ran_well_for_long_starts_with_short_pauses_again(monkeypatch: pytest.MonkeyPatch) -> None:
    starts_s: list[float] = []
    lasts_s = iter([0, 0, 0, 100, 0])

    async def fail(_: Publish) -> None:
        starts_s.append(trio.current_time())
        await trio.sleep(next(lasts_s))
        raise SourceError("again")

    async def story() -> None:
        monkeypatch.setattr("edged.control.sources.time.monotonic", trio.current_time)
        with trio.move_on_after(109):
            await runner(Inbox(), fail).run()

    virtual(story)
    assert [round(b - a) for a, b in itertools.pairwise(starts_s)] == [1, 2, 4, 101]


def test_one_that_ends_stays_ended_and_its_snapshot_in_force() -> None:
    async def once(publish: Publish) -> None:
        await publish(snapshot("x"))

    async def story() -> None:
        inbox = Inbox()
        made = runner(inbox, once)
        await made.run()
        assert (made.ended, made.stale) == (True, False)
        await inbox.wait()
        assert told(inbox.take()) == {"given": "x"}

    virtual(story)


def test_what_is_no_snapshot_is_the_plugin_s_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def wrong(publish: Any) -> None:
        await publish("routes")

    async def story() -> None:
        with trio.move_on_after(0.5):
            await runner(Inbox(), wrong).run()

    virtual(story)
    assert "str was published, not a Snapshot" in caplog.text


def test_cancelling_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        with trio.move_on_after(5):
            await runner(Inbox(), Given().run).run()

    virtual(story)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_filtering_is_on_unless_the_source_says_otherwise() -> None:
    async def story() -> None:
        inbox = Inbox()
        assert not SourceRunner(OfferedSource("t", Given(filter_addresses=False)), inbox).filter_addresses
        assert SourceRunner(OfferedSource("t", Given(filter_addresses=True)), inbox).filter_addresses
        plain = Given()
        del plain.filter_addresses
        assert SourceRunner(OfferedSource("t", plain), inbox).filter_addresses

    virtual(story)
