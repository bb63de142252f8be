"""Which name shows which certificate, by the rows of openshift-routes.md 7.3 and 7.4; and whom endpoints are believed."""

from collections.abc import Iterable
from typing import Any

import pytest

from edged.control.certificates import Certificates, Picture, shown_for, tls_name
from edged.hooks import Backend, Certificate, Route, Termination, Trust
from edged.model.state import State
from tests.control.given import route as any_route

DEFAULT = Certificate.of((b"default",), b"k")


def cert(word: str) -> Certificate:
    return Certificate.of((word.encode(),), b"key of " + word.encode())


def unknown(word: str) -> Certificate:
    return Certificate(cert(word).id, (), b"")


def route(key: str, host: str, shows: str | Certificate | None = None, path: str = "", **more: Any) -> Route:
    """An edge route of a namespace; `shows` is a word for its certificate."""
    more.setdefault("termination", Termination.EDGE)
    certificate = cert(shows) if isinstance(shows, str) else shows
    return any_route(f"ns/{key}", host, path, namespace="ns", certificate=certificate, **more)


class House:
    """Certificates that are told states and moments."""

    def __init__(self, *routes: Route, names: dict[str, str] | None = None, terminates: bool = True) -> None:
        self.now_s = 100.0
        self.version = 0
        self.certificates = Certificates(terminates=terminates)
        self.operator(names or {})
        self.has(*routes)

    def has(self, *routes: Route) -> bool:
        self.version += 1
        return self.certificates.follow(State(self.version, routes), self.now_s)

    def operator(self, names: dict[str, str], default: Certificate | None = DEFAULT) -> bool:
        return self.certificates.use_operators(default, {name: cert(word) for name, word in names.items()}, self.now_s)

    def later(self, passed_s: float, in_force: int | None = None) -> bool:
        self.now_s += passed_s
        return self.certificates.release(self.version if in_force is None else in_force, self.now_s)

    @property
    def picture(self) -> Picture:
        return self.certificates.picture

    def shows(self, name: str) -> str:
        """The word of what is shown to a client that asks for this name."""
        certificate = shown_for(self.picture, name)[1]
        assert certificate is not None
        return certificate.chain[0].decode()


# ---- 7.3


def test_the_host_of_a_route_shows_its_certificate_and_all_others_the_default_one() -> None:
    house = House(route("a", "a.test", "A"), route("bare", "bare.test"))
    assert [house.shows(name) for name in ("a.test", "A.Test")] == ["A", "A"]
    assert [house.shows(name) for name in ("bare.test", "unknown.test", "")] == ["default"] * 3


@pytest.mark.parametrize(("termination", "shown"), [
    (Termination.EDGE, "A"), (Termination.REENCRYPT, "A"), (Termination.PASSTHROUGH, "default"), (Termination.NONE, "default"),
])
def test_only_where_tls_ends_here(termination: Termination, shown: str) -> None:
    assert House(route("a", "a.test", "A", termination=termination)).shows("a.test") == shown


def test_a_wildcard_is_one_label_deep_and_exact_hosts_come_first() -> None:
    house = House(route("w", "any.apps.test", "W", wildcard=True), route("a", "a.apps.test", "A"), route("bare", "bare.apps.test"))
    names = ("x.", "any.", "a.", "bare.", "", "x.y.")
    assert [house.shows(f"{name}apps.test") for name in names] == ["W", "W", "A", "W", "default", "default"]


@pytest.mark.parametrize(("host", "wildcard", "name"), [
    ("a.test", False, "a.test"), ("x.a.test", True, "*.a.test"), ("*.a.test", True, "*.a.test"), ("single", True, "single"),
    ("*", False, ""), ("", False, ""),
])
def test_the_name_of_a_route(host: str, wildcard: bool, name: str) -> None:
    assert tls_name(route("r", host, wildcard=wildcard)) == name


@pytest.mark.parametrize(("keys", "shown"), [
    (["a", "b"], "b"), (["b", "a"], "b"), (["a", "a-b"], "a"), (["a", "a1"], "a1"), (["B", "a"], "a"), (["z", "\u00e9"], "\u00e9"),
])
def test_of_several_routes_on_one_host_the_file_that_sorts_last_is_shown(keys: list[str], shown: str) -> None:
    """ "ns:a-b.pem" sorts before "ns:a.pem", as "-" comes before "."."""
    routes = [route(key, "h.test", key, path=f"/{number}") for number, key in enumerate(keys)]
    assert House(*routes).shows("h.test") == shown
    house = House(*routes)
    house.has(*(one for one in routes if one.key != f"ns/{shown}"))
    assert house.shows("h.test") == next(key for key in keys if key != shown)


def test_a_route_without_a_certificate_leaves_the_host_to_one_that_has_one() -> None:
    assert House(route("a", "h.test", "A", path="/a"), route("z", "h.test")).shows("h.test") == "A"


def test_routes_beat_the_operators_directory_which_beats_the_default() -> None:
    house = House(
        route("a", "a.test", "A"), route("w", "x.apps.test", "W", wildcard=True), route("bare", "bare.test"),
        names={**dict.fromkeys(["a.test", "*.apps.test", "bare.test", "own.test", "exact.apps.test"], "dir"), "*.dir.test": "dirs"},
    )
    assert [house.shows(name) for name in ("a.test", "x.apps.test", "bare.test", "own.test", "x.dir.test", "exact.apps.test")] == [
        "A", "W", "dir", "dir", "dirs", "dir",
    ]
    house.has(route("w", "x.apps.test", "W", wildcard=True))
    assert house.shows("a.test") == "dir"
    house.operator({"a.test": "newer"})
    assert [house.shows(name) for name in ("a.test", "x.apps.test")] == ["newer", "W"]


def test_where_tls_ends_nowhere_no_certificate_is_needed_but_endpoints_are_believed() -> None:
    trust = Trust.of((b"ca",))
    house = House(route("a", "a.test", "A", backend=Backend("b", trust=trust)), terminates=False)
    assert house.picture.names == {}
    assert house.picture.trusts == {trust.id: trust}


# ---- 7.4: ALPN


def alpn(*routes: Route, **more: Any) -> set[str]:
    return set(House(*routes, **more).picture.alpn)


def test_alpn_is_for_certificates_that_one_route_alone_has() -> None:
    assert alpn(route("a", "a.test", "A"), route("b", "b.test", "B"), route("bare", "bare.test")) == {"a.test", "b.test"}
    assert alpn(route("a", "a.test", "same"), route("b", "b.test", "same"), route("c", "c.test", "C")) == {"c.test"}
    assert alpn(route("a", "a.test", "same", path="/a"), route("b", "a.test", "same", path="/b")) == set()


def test_alpn_is_not_for_the_default_certificate_nor_for_the_operators() -> None:
    assert alpn(route("a", "a.test", DEFAULT)) == set()
    assert alpn(route("a", "a.test", "A"), names={"b.test": "B"}) == {"a.test"}
    assert alpn(route("a", "a.test", "A"), names={"b.test": "A"}) == set()


def test_alpn_follows_what_other_routes_do() -> None:
    a, b, c = route("a", "a.test", "same"), route("b", "b.test", "same"), route("c", "c.test", "same")
    house = House(a)
    assert house.picture.alpn == {"a.test"}
    assert house.has(a, b)
    assert house.picture.alpn == set()
    house.has(a, b, c)
    house.has(b, c)
    assert house.picture.alpn == set()
    house.has(c)
    assert house.picture.alpn & {"c.test"} == {"c.test"}
    house.operator({}, default=cert("same"))
    assert house.picture.alpn & {"c.test"} == set()
    house.operator({}, default=DEFAULT)
    assert house.picture.alpn & {"c.test"} == {"c.test"}


# ---- changes


def test_what_changes_nothing_is_no_new_picture() -> None:
    routes = [route(f"r{n}", f"h{n}.test", f"C{n}") for n in range(10)]
    house = House(*routes)
    before = house.picture
    assert not house.has(*routes)
    assert not house.has(*reversed(routes))
    moved = route("r3", "h3.test", "C3", to=["127.0.0.1:99"])
    assert not house.has(*routes[:3], moved, *routes[4:])
    assert not house.operator({})
    assert house.picture is before
    assert house.has(*routes[:3], route("r3", "h3.test", "new"), *routes[4:])
    assert house.picture.version == before.version + 1
    assert before.names["h3.test"] == cert("C3")


def test_a_name_is_withdrawn_when_no_table_needs_it_any_more() -> None:
    house = House(route("a", "a.test", "A"), route("b", "b.test", "B"))
    house.has(route("b", "b.test", "B"))
    assert house.shows("a.test") == "A"
    assert house.certificates.has_stale
    assert not house.later(5, in_force=house.version - 1)
    assert house.later(0)
    assert house.shows("a.test") == "default"
    assert house.picture.alpn == {"b.test"}
    assert not house.certificates.has_stale


def test_a_name_that_comes_back_in_time_stays() -> None:
    house = House(route("a", "a.test", "A"))
    house.has()
    house.has(route("a", "a.test", "A"))
    assert not house.later(100)
    assert house.shows("a.test") == "A"


def test_a_trust_outlives_the_requests_that_began_with_it() -> None:
    trust, other = Trust.of((b"ca",)), Trust.of((b"other",))
    house = House(route("a", "a.test", backend=Backend("b", trust=trust)), route("b", "b.test", backend=Backend("c", trust=trust)))
    house.has(route("a", "a.test", backend=Backend("b", trust=other)), route("b", "b.test", backend=Backend("c", trust=trust)))
    assert set(house.picture.trusts) == {trust.id, other.id}
    assert not house.certificates.has_stale
    house.has(route("a", "a.test", backend=Backend("b", trust=other)))
    assert not house.later(59)
    assert house.later(2)
    assert set(house.picture.trusts) == {other.id}


def test_a_changed_default_is_a_new_picture() -> None:
    house = House()
    assert house.operator({}, default=cert("newer"))
    assert house.shows("any.test") == "newer"


def test_what_is_revoked_is_in_every_picture_from_then_on() -> None:
    house = House(route("a", "a.test", "A"))
    crls = {"file:/a": (b"1",)}
    assert house.certificates.use_crls(crls)
    assert not house.certificates.use_crls(dict(crls))
    before = house.certificates.picture
    assert (before.crls, set(before.names)) == (crls, {"a.test"})
    house.has(route("b", "b.test", "B"))
    assert house.certificates.picture.crls is crls
    assert house.certificates.picture.version == before.version + 1


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    def site(numbers: Iterable[int]) -> tuple[Route, ...]:
        return tuple(every[n] for n in numbers)

    every = [route(f"r{n}", f"h{n % 30}.test", f"C{n % 50}", path=f"/{n}") for n in range(100)]
    stepwise = House()
    for upto in range(101):
        stepwise.has(*site(range(upto)))
    for gone in range(0, 100, 7):
        stepwise.has(*site(n for n in range(100) if n % 7 or n > gone))
    stepwise.later(1000)
    once = House(*site(n for n in range(100) if n % 7))
    assert (stepwise.picture.names, stepwise.picture.alpn) == (once.picture.names, once.picture.alpn)
    stepwise.has()
    stepwise.later(1000)
    assert (stepwise.picture.names, stepwise.picture.alpn) == ({}, set())


# ---- what only the id is known of


def test_a_certificate_known_by_its_id_is_shown_by_nobody_and_the_picture_is_not_whole() -> None:
    house = House(route("a", "a.test", unknown("A")), route("b", "b.test", "B"))
    assert (house.picture.whole, house.certificates.unknown) == (False, 1)
    assert set(house.picture.names) == {"b.test"}
    house.has(route("a", "a.test", "A"), route("b", "b.test", "B"))
    assert house.picture.whole
    assert house.shows("a.test") == "A"
