"""From snapshots to the state: intake, kinds, soundness and claims together."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from edged.control.admit import Admission
from edged.control.intake import Intake
from edged.hooks import Object, Objects, Origin, Problem, Route, Services, Snapshot, Translation, Verdict
from edged.hooks.fence import PluginFailed
from edged.hooks.manager import OfferedKind
from edged.model.listener import Listener, Mode
from tests.control.given import endpoints, route, thing


class Doors:
    """A kind that serves each object Door under its name, with the endpoints of the service of that name."""

    name = "Door"
    needs: tuple[str, ...] = ("Service", "Endpoints", "EndpointSlice")

    def __init__(self) -> None:
        self.asked: list[frozenset[tuple[str, str]] | None] = []
        self.fails = False

    def translate(self, objects: Objects, services: Services) -> Translation:
        self.asked.append(services.changed)
        if self.fails:
            raise ValueError("no good")
        made = []
        for told in objects["Door"]:
            name = told.body["metadata"]["name"]
            made.append(route(name, host=name, to=services.endpoints("ns", name, None), created_s=1.0))
        return Translation(tuple(made), (), (Verdict("x", False, "NoHostValue", "none", Origin("o")),))


def admission(*kinds: Any, sources: tuple[str, ...] = ("a", "b"), listeners: tuple[Listener, ...] = ()) -> Admission:
    return Admission(Intake(dict.fromkeys(sources, False)), [OfferedKind("test", kind) for kind in kinds], listeners)


def keys(made: Admission) -> list[str]:
    return [one.key for one in made.state.routes]


def test_routes_of_all_sources_become_the_state_and_its_version_rises_with_each_change() -> None:
    made = admission()
    made.intake.put("b", Snapshot((route("1", "one"),)))
    assert made.update()
    assert (keys(made), made.state.version) == (["1"], 1)
    made.intake.put("a", Snapshot((route("2", "two"),)))
    assert made.update()
    assert (keys(made), made.state.version) == (["2", "1"], 2)


def test_the_first_state_counts_as_changed_though_it_is_empty() -> None:
    made = admission()
    assert made.update()
    assert not made.update()


def test_a_snapshot_that_says_the_same_changes_nothing() -> None:
    made = admission()
    one = route("1")
    made.intake.put("a", Snapshot((one,)))
    made.update()
    before = made.state
    made.intake.put("a", Snapshot((one,)))
    assert not made.update()
    assert made.state is before


def test_the_source_named_first_wins_between_equal_claims() -> None:
    made = admission()
    made.intake.put("b", Snapshot((route("of b"),)))
    made.intake.put("a", Snapshot((route("of-a"), route("of-a-too"),)))
    made.update()
    assert keys(made) == ["of-a"]


def test_an_unsound_route_is_a_problem_and_the_others_are_served(caplog: pytest.LogCaptureFixture) -> None:
    made = admission()
    bad = route("bad", host="a_b", line=3)
    made.intake.put("a", Snapshot((bad, route("good"), "what is this"), problems=(Problem(Origin("f", 1), "k", "m"),)))  # type: ignore[arg-type]
    made.update()
    assert keys(made) == ["good"]
    told = [str(one) for one in made.problems]
    assert told[0] == "f:1: k: m"
    assert told[1].startswith("routes.yaml:3: host:")
    assert "str is no Route" in told[2]
    assert [record.getMessage() for record in caplog.records] == told
    made.intake.put("a", Snapshot((replace(bad, host="fine"), route("good"))))
    made.update()
    assert (keys(made), made.problems) == (["bad", "good"], ())


def test_a_problem_that_stays_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    made = admission()
    for _ in range(3):
        made.intake.put("a", Snapshot((route("old"), route("young"), route("bad", "_"))))
        made.update()
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


def test_what_is_no_snapshot_changes_nothing() -> None:
    made = admission()
    made.intake.put("a", Snapshot((route("1"),)))
    for wrong in (None, [route("2")], Snapshot(objects=("x",))):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            made.intake.put("a", wrong)  # type: ignore[arg-type]
    made.update()
    assert keys(made) == ["1"]


def test_a_kind_is_asked_only_when_something_that_it_reads_changed() -> None:
    kind = Doors()
    made = admission(kind)
    door, told = thing("Door", "web"), endpoints("web", "10.0.0.1")
    made.intake.put("a", Snapshot(objects=(door, told)))
    made.update()
    assert kind.asked == [None]
    assert [one.address for one in made.state.routes[0].backend.endpoints] == ["10.0.0.1"]
    made.intake.put("b", Snapshot((route("other"),), (thing("Secret", "s"),)))
    made.update()
    assert kind.asked == [None]
    made.intake.put("a", Snapshot(objects=(door, endpoints("web", "10.0.0.2"))))
    assert made.update()
    assert kind.asked[1:] == [frozenset({("ns", "web")})]
    assert [one.address for one in made.state.routes[1].backend.endpoints] == ["10.0.0.2"]


def test_objects_of_a_kind_stay_the_same_sequence_until_one_changed() -> None:
    intake = Intake({"a": False})
    door, secret = thing("Door", "web"), thing("Secret", "s")
    intake.put("a", Snapshot(objects=(secret, door)))
    intake.take_dirty()
    doors = intake.objects("Door")
    intake.put("a", Snapshot(objects=(thing("Secret", "t"), door)))
    assert intake.take_dirty() == {"Secret"}
    assert intake.objects("Door") is doors
    intake.put("a", Snapshot(objects=(secret, door, thing("Door", "two"))))
    intake.take_dirty()
    assert [one.body["metadata"]["name"] for one in intake.objects("Door")] == ["web", "two"]


def test_a_kind_that_fails_keeps_its_last_routes_and_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    kind = Doors()
    made = admission(kind)
    door = thing("Door", "web")
    made.intake.put("a", Snapshot(objects=(door,)))
    made.update()
    kind.fails = True
    made.intake.put("a", Snapshot(objects=(door, thing("Door", "two"))))
    assert not made.update()
    assert keys(made) == ["web"]
    assert "plugin test failed: ValueError: no good" in caplog.text
    kind.fails = False
    assert made.update()
    assert kind.asked[-1] is None
    assert keys(made) == ["web", "two"]


def test_a_kind_that_answers_nonsense_is_fenced(caplog: pytest.LogCaptureFixture) -> None:
    kind = Doors()
    kind.translate = lambda *_: None  # type: ignore[method-assign, assignment]
    made = admission(kind)
    made.update()
    assert "translated to NoneType" in caplog.text


def test_of_two_kinds_for_one_sort_of_object_the_first_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Doors(), Doors()
    made = admission(first, second)
    made.update()
    assert (len(first.asked), len(second.asked)) == (1, 0)
    assert "kind Door is translated by plugin test already" in caplog.text


def test_verdicts_are_those_of_kinds_and_claims() -> None:
    made = admission(Doors())
    made.intake.put("a", Snapshot((route("old"), route("young"))))
    made.update()
    assert [(one.route, one.reason) for one in made.state.verdicts] == [("x", "NoHostValue"), ("young", "HostAlreadyClaimed")]


def test_objects_that_nobody_reads_are_named() -> None:
    made = admission(Doors())
    made.intake.put("a", Snapshot(objects=(thing("Door", "a"), thing("Frob", "b"), thing("Secret", "c"), thing("Service", "d"))))
    made.update()
    assert [str(one) for one in made.unread()] == ['objects.yaml:1: kind: no plugin knows objects of kind "Frob"']


def test_tcp_listeners_without_their_route_are_named() -> None:
    tcp = Listener(0, "db", "127.0.0.1:1", Mode.TCP, route="db")
    made = admission(listeners=(tcp, Listener(1, "web", "127.0.0.1:2")))
    made.update()
    assert made.unserved_listeners() == [tcp]
    made.intake.put("a", Snapshot((route("db", ""),)))
    made.update()
    assert made.unserved_listeners() == []


def test_recalled_routes_hold_until_their_source_speaks() -> None:
    made = admission()
    made.intake.recall("a", (route("1", where="f"),))
    assert made.intake.silent() == ["a", "b"]
    made.update()
    assert keys(made) == ["1"]
    assert made.intake.sources_by_place() == {"f": "a"}
    own = route("1", where="f")
    made.intake.put("a", Snapshot((own,)))
    made.intake.recall("a", (route("2"),))
    made.update()
    assert made.state.routes[0] is own
    made.intake.put("a", Snapshot())
    made.update()
    assert keys(made) == []


def test_a_barred_route_is_left_out_until_it_changes() -> None:
    made = admission()
    one = route("1", "one")
    made.intake.put("a", Snapshot((one, route("2", "two"))))
    made.update()
    made.bar("1", "no table can hold it")
    assert made.update()
    assert keys(made) == ["2"]
    assert "no table can hold it" in str(made.problems[0])
    made.intake.put("a", Snapshot((route("1", "one", line=2),)))
    made.update()
    assert keys(made) == ["1"]


def test_the_fence_names_the_plugin() -> None:
    assert str(PluginFailed("x", KeyError("y"))) == "plugin x failed: KeyError: 'y'"


def test_equal_routes_made_anew_are_the_same_routes() -> None:
    made = admission()
    made.intake.put("a", Snapshot(tuple(route(str(n), f"h{n}") for n in range(3))))
    made.update()
    before = made.state.routes
    made.intake.put("a", Snapshot(tuple(route(str(n), f"h{n}") for n in range(3))))
    assert not made.update()
    made.intake.put("a", Snapshot(tuple(route(str(n), f"h{n}", "/p" if n == 1 else "") for n in range(4))))
    assert made.update()
    assert [one is other for one, other in zip(made.state.routes, before, strict=False)] == [True, False, True]


@pytest.mark.parametrize("key", [None, [], {}, 5])
def test_a_route_with_an_impossible_name_is_a_problem(key: Any) -> None:
    made = admission()
    made.intake.put("a", Snapshot((replace(route("x"), key=key), route("good"))))
    made.update()
    assert (keys(made), len(made.problems)) == (["good"], 1)


def test_a_body_that_is_no_mapping_of_texts_is_no_kind() -> None:
    made = admission()
    made.intake.put("a", Snapshot(objects=(Object({"kind": 5}, Origin("o")),)))
    made.update()
    assert made.intake.kinds() == {""}


def test_routes_are_the_very_objects_that_were_published() -> None:
    made = admission()
    routes: tuple[Route, ...] = tuple(route(str(n), f"h{n}") for n in range(5))
    made.intake.put("a", Snapshot(routes))
    made.update()
    assert all(one is other for one, other in zip(made.state.routes, routes, strict=True))
