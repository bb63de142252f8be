"""Kinds that prepare, and whom endpoints are believed."""

import logging

import pytest
import trio

from edged.control.intake import Intake
from edged.control.kinds import Translator
from edged.hooks import Objects, Services, Snapshot, Translation, Trust
from edged.hooks.manager import OfferedKind
from tests.control.given import endpoints, play, route, thing


class Site:
    """A kind that writes down what happens to it."""

    name = "Site"
    needs = ("Secret",)

    def __init__(self) -> None:
        self.story: list[str] = []
        self.fails = False
        self.hangs = False

    async def prepare(self, objects: Objects) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise KeyError("prepare")
        if self.hangs:
            await trio.sleep_forever()
        self.story.append(f"prepare {len(objects['Site'])}")

    def translate(self, objects: Objects, services: Services) -> Translation:
        self.story.append(f"translate {len(objects['Site'])} {services.changed is None} {services.trust is not None}")
        return Translation((route("made"),))


class Cluster:
    def __init__(self) -> None:
        self.kind = Site()
        self.intake = Intake({"cluster": False})
        self.translator = Translator([OfferedKind("test", self.kind)])

    def has(self, *names: str) -> list[str]:
        """What happens to the kind when there are these objects; "secret" and "web" are of other kinds."""
        others = {"secret": thing("Secret", "secret"), "web": endpoints("web", "10.0.0.1")}
        self.intake.put("cluster", Snapshot(objects=tuple(others.get(name) or thing("Site", name) for name in names)))
        return self.happens()

    def happens(self) -> list[str]:
        self.kind.story.clear()

        async def both() -> None:
            await self.translator.prepare(self.intake)
            self.translator.update(self.intake)

        play(both)
        return self.kind.story


def test_a_kind_prepares_with_the_newest_objects_before_it_is_asked() -> None:
    cluster = Cluster()
    assert cluster.has("a") == ["prepare 1", "translate 1 True False"]
    assert cluster.happens() == []
    assert cluster.has("a", "b") == ["prepare 2", "translate 2 False False"]
    assert cluster.has("a", "b", "secret") == ["prepare 2", "translate 2 False False"]


def test_one_that_fails_to_prepare_is_asked_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    cluster.kind.fails = True
    assert cluster.has("a") == ["translate 1 True False"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "plugin test failed: KeyError: 'prepare'" in caplog.text


def test_one_that_never_gets_ready_does_not_hold_up_the_others_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edged.control.kinds._PREPARE_MOST_S", 0.05)
    cluster = Cluster()
    cluster.kind.hangs = True
    assert cluster.has("a") == ["translate 1 True False"]
    assert "plugin test: kind Site is not ready after 0.05 s" in caplog.text


def test_another_trust_makes_everything_be_asked_anew() -> None:
    cluster = Cluster()
    cluster.has("a")
    cluster.translator.believe(Trust.of((b"ca",)))
    assert cluster.happens() == ["prepare 1", "translate 1 True True"]
    cluster.translator.believe(Trust.of((b"ca",)))
    assert cluster.happens() == []
