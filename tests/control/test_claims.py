"""Who gets which host and path: openshift-routes.md 4."""

import itertools
import random

import pytest

from edged.control.claims import Claims, settle
from edged.hooks import Route, Termination
from tests.control.given import route


def claims(*routes: Route, ownership: bool = True) -> Claims:
    made = Claims(ownership=ownership)
    made.update(routes)
    return made


def winners(*routes: Route, ownership: bool = True) -> list[str]:
    return [one.key for one in claims(*routes, ownership=ownership).admitted]


def test_the_oldest_of_one_host_and_path_wins() -> None:
    assert winners(route("young", created_s=2), route("old", created_s=1)) == ["old"]


def test_equal_ages_go_by_uid_then_by_place() -> None:
    assert winners(route("b", uid="2", created_s=5), route("a", uid="1", created_s=5)) == ["a"]
    assert winners(route("first"), route("second")) == ["first"]


def test_what_has_no_age_is_older_than_everything_that_has() -> None:
    assert winners(route("cluster", created_s=1.0), route("short")) == ["short"]


def test_paths_of_one_host_stand_side_by_side_and_are_compared_as_text() -> None:
    assert winners(route("a", path=""), route("b", path="/"), route("c", path="/foo"), route("d", path="/foo/")) == ["a", "b", "c", "d"]


def test_a_plain_and_an_edge_route_of_one_path_collide() -> None:
    assert winners(route("plain"), route("edge", termination=Termination.EDGE)) == ["plain"]


def test_passthrough_bears_no_other_tls_route_on_its_host_but_plain_ones() -> None:
    through = route("through", termination=Termination.PASSTHROUGH)
    edge = route("edge", path="/x", termination=Termination.EDGE)
    plain = route("plain", path="/y")
    assert winners(through, edge, plain) == ["through", "plain"]
    assert winners(edge, through, plain) == ["edge", "plain"]


def test_a_host_belongs_to_the_namespace_of_its_oldest_route() -> None:
    a, b = route("a", namespace="A", created_s=1), route("b", path="/other", namespace="B", created_s=2)
    assert winners(b, a) == ["a"]
    assert winners(b, a, ownership=False) == ["a", "b"]


def test_the_seed_scenario() -> None:
    a1 = route("A/1", namespace="A", created_s=1)
    b1 = route("B/1", namespace="B", created_s=2)
    a2 = route("A/2", path="/p", namespace="A", created_s=3)
    made = Claims()
    for present, expected in [
        ((a1,), ["A/1"]), ((a1, b1), ["A/1"]), ((a1, b1, a2), ["A/1", "A/2"]), ((b1, a2), ["B/1"]), ((a2,), ["A/2"]),
    ]:
        made.update(present)
        assert [one.key for one in made.admitted] == expected
    assert made.verdicts == ()


def test_wildcards_meet_only_what_is_one_label_deep() -> None:
    wild = route("wild", host="x.example.com", wildcard=True, namespace="A", created_s=1)
    for host, admitted in [("a.example.com", False), ("a.b.example.com", True), ("example.com", True)]:
        other = route("other", host=host, namespace="B", created_s=2)
        assert (winners(wild, other) == ["wild", "other"]) is admitted


@pytest.mark.parametrize(("namespace", "ownership", "both"), [("A", True, True), ("B", True, False), ("B", False, True)])
def test_a_wildcard_and_a_specific_host_conflict_only_between_namespaces(namespace: str, ownership: bool, both: bool) -> None:
    wild = route("wild", host="x.example.com", wildcard=True, namespace="A", created_s=1)
    exact = route("exact", host="www.example.com", namespace=namespace, created_s=2)
    assert winners(wild, exact, ownership=ownership) == (["wild", "exact"] if both else ["wild"])


def test_two_wildcards_of_one_domain_and_path_conflict_whatever_their_first_label() -> None:
    one = route("one", host="x.example.com", wildcard=True, created_s=1)
    two = route("two", host="y.example.com", wildcard=True, created_s=2)
    assert winners(one, two) == ["one"]
    assert winners(one, route("two", host="y.example.com", path="/p", wildcard=True, created_s=2)) == ["one", "two"]


def test_a_wildcard_that_goes_gives_way_at_once() -> None:
    wild = route("wild", host="x.example.com", wildcard=True, namespace="A", created_s=1)
    exact = route("exact", host="www.example.com", namespace="B", created_s=2)
    made = claims(wild, exact)
    made.update((exact,))
    assert made.admitted == (exact,)


def test_routes_without_a_host_claim_none_but_their_name() -> None:
    assert winners(route("db", host=""), route("mail", host=""), route("db", host="", line=9)) == ["db", "mail"]


def test_two_routes_of_one_name_are_one_too_many_wherever_their_hosts_are() -> None:
    made = claims(route("same", host="a.example.com", line=3), route("same", host="b.example.com"))
    assert [one.host for one in made.admitted] == ["a.example.com"]
    assert "called same too (routes.yaml:3)" in made.verdicts[0].message


def test_a_route_that_is_there_twice_is_there() -> None:
    one, other = route("a", "a"), route("b", "b")
    made = claims(one, other, one)
    assert made.admitted == (one, other)
    made.update((other, one))
    assert made.admitted == (other, one)
    assert made.verdicts == ()


def test_the_verdict_names_the_winner_within_a_namespace_only() -> None:
    (verdict,) = claims(route("old", line=2), route("young", line=7)).verdicts
    assert (verdict.route, verdict.admitted, verdict.reason, verdict.origin.line) == ("young", False, "HostAlreadyClaimed", 7)
    assert "route old (routes.yaml:2) already exposes h.example.com" in verdict.message
    (verdict,) = claims(route("A/secret", namespace="A"), route("B/x", namespace="B")).verdicts
    assert "another namespace" in verdict.message
    assert "secret" not in verdict.message


def test_a_route_that_only_does_something_else_keeps_its_claim_and_its_place() -> None:
    routes = [route("a", host="a"), route("b", host="b"), route("lost", host="a")]
    made = claims(*routes)
    after = route("b", host="b", to=["10.0.0.1:80"])
    made.update((routes[0], after, routes[2]))
    assert made.admitted == (routes[0], after)
    assert made.admitted[0] is routes[0]
    moved = route("lost", host="a", line=99)
    made.update((routes[0], after, moved))
    assert made.verdicts[0].origin.line == 99


def some_route(dice: random.Random, key: int) -> Route:
    wildcard = dice.random() < 0.2
    termination = dice.choice([Termination.NONE, Termination.NONE, Termination.EDGE, Termination.PASSTHROUGH])
    return route(
        f"r{key if dice.random() < 0.95 else dice.randrange(40)}", dice.choice(["a.d", "b.d", "c.d", "a.e.d", "x", ""]),
        "" if termination is Termination.PASSTHROUGH else dice.choice(["", "/", "/p"]), wildcard=wildcard, termination=termination,
        namespace=dice.choice("AB"), created_s=float(dice.randrange(3)), uid=dice.choice(["", "u1", "u2"]),
    )


@pytest.mark.parametrize("ownership", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_whatever_happened_before_the_answer_is_that_of_a_fresh_start(seed: int, ownership: bool) -> None:
    dice = random.Random(seed)
    made = Claims(ownership=ownership)
    present: list[Route] = []
    for number in itertools.count():
        if number == 60:
            break
        present = list(present)
        match dice.randrange(4):
            case 0 if present:
                present.pop(dice.randrange(len(present)))
            case 1 if present:
                at = dice.randrange(len(present))
                present[at] = some_route(dice, number)
            case _:
                present.insert(dice.randrange(len(present) + 1), some_route(dice, number))
        made.update(tuple(present))
        fresh = Claims(ownership=ownership)
        fresh.update(tuple(present))
        assert made.admitted == fresh.admitted
        assert set(made.verdicts) == set(fresh.verdicts)
        refused = settle(present, ownership=ownership)
        assert len(refused) == len(made.verdicts) == len(present) - len(made.admitted)
