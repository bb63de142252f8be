"""The choice of an endpoint: HAProxy's sequences and hashes, cookies, standing, limits (http-edge-behaviour.md 12)."""

import bisect
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from tests.doors.balance_doors import Stage, avalanche, digest

UP, DOWN, DRAINING, MAINTENANCE = range(4)
FEW = 16                                         # above, a backend is remembered


def named(n: int, **each: Any) -> list[dict[str, Any]]:
    return [{"name": f"e{i}", **each} for i in range(n)]


def weighted(weights: Sequence[int]) -> list[dict[str, Any]]:
    return [{"name": f"e{i}", "weight": weight} for i, weight in enumerate(weights)]


def ask(stage: Stage, **asked: Any) -> tuple[str | None, bool, str | None]:
    answer = stage.ask(**asked)
    return answer["endpoint"], answer["full"], answer["bound"]


# ---- 12.1 roundrobin


@pytest.mark.parametrize(
    ("weights", "row"),
    [
        ({"a": 1, "b": 2, "c": 3}, "cbcacb"),
        ({"a": 5, "b": 1, "c": 1}, "aaabaac"),
        ({"a": 100, "b": 50, "c": 25}, "aabacab"),
        ({"a": 1, "b": 1, "c": 1}, "abc"),
        ({"a": 256, "b": 256}, "ab"),
        ({"a": 7}, "a"),
    ],
)
def test_roundrobin_gives_haproxys_rows(weights: dict[str, int], row: str) -> None:
    assert Stage(weights).row(4 * len(row)) == 4 * row


class Smooth:
    """Section 12.1 word for word, with lists instead of trees."""

    def __init__(self, weights: Sequence[int]) -> None:
        self.w = [16 * weight for weight in weights]
        self.total = sum(self.w)
        self.npos = [0] * len(weights)
        self.rw = [0] * len(weights)
        self.current: list[tuple[int, int]] = []         # key, index; equal keys in order of insertion
        self.init = sorted((-w, i) for i, w in enumerate(self.w))
        self.next: list[tuple[int, int]] = []
        self.pos = self.total

    @staticmethod
    def insert(tree: list[tuple[int, int]], key: int, i: int) -> None:
        tree.insert(bisect.bisect_right([k for k, _ in tree], key), (key, i))

    def take(self) -> int | None:
        if self.current and (self.npos[self.current[0][1]] <= self.pos or not self.init):
            return self.current.pop(0)[1]
        if self.init:
            i = self.init.pop(0)[1]
            self.npos[i] = self.rw[i] = 0
            return i
        return None

    def choose(self) -> int:
        i = self.take()
        if i is None:
            self.init, self.next, self.pos = self.next, [], self.total
            i = self.take()
        assert i is not None
        w = self.w[i]
        self.npos[i] = (self.npos[i] or self.pos) + self.total // w
        self.rw[i] += self.total % w
        if self.rw[i] >= w:
            self.rw[i] -= w
            self.npos[i] += 1
        self.pos += 1
        if self.npos[i] >= 2 * self.total:
            self.insert(self.next, -w, i)
        else:
            self.insert(self.current, 256 * self.npos[i] + (4096 + self.rw[i] - w) // 16, i)
        return i


@pytest.mark.parametrize("n", [2, 3, 5, FEW, FEW + 1, 60])
@pytest.mark.parametrize("seed", range(4))
def test_roundrobin_follows_the_words_of_the_specification(n: int, seed: int) -> None:
    chance = random.Random(seed * 1000 + n)
    weights = [chance.choice([1, 2, 3, 7, 10, 100, 256, chance.randint(1, 256)]) for _ in range(n)]
    weights[0] = weights[1] + 1 if weights[1] < 256 else 1          # uneven in any case
    stage, smooth = Stage(weighted(weights)), Smooth(weights)
    count = min(2 * sum(weights) * 16 + 50, 3000)
    assert [stage.choose() for _ in range(count)] == [f"e{smooth.choose()}" for _ in range(count)]


@pytest.mark.parametrize("n", [3, 40])
def test_roundrobin_gives_each_its_share(n: int) -> None:
    weights = [1 + i % 5 for i in range(n)]
    stage = Stage(weighted(weights))
    counts = Counter(stage.choose() for _ in range(10 * sum(weights)))
    for i, weight in enumerate(weights):
        assert abs(counts[f"e{i}"] - 10 * weight) <= 10


@pytest.mark.parametrize("n", [4, 40])
def test_roundrobin_goes_on_where_it_was_when_the_table_is_swapped(n: int) -> None:
    weights = [1 + i % 4 for i in range(n)]
    alone, old = Stage(weighted(weights)), Stage(weighted(weights))
    expected = [alone.choose() for _ in range(100)]
    got = [old.choose() for _ in range(17)]
    new = Stage(weighted(weights), arena=old.arena, version=2)
    got += [new.choose() for _ in range(23)]
    got += [old.choose(), new.choose(), old.choose()]               # an exchange of the old table retries
    got += [new.choose() for _ in range(57)]
    assert got == expected


@pytest.mark.parametrize("n", [3, 40])
def test_a_full_endpoint_is_passed_over_and_returns_to_its_place(n: int) -> None:
    endpoints = weighted([1 + i % 3 for i in range(n)])
    endpoints[1]["maxconn"] = 2
    stage = Stage(endpoints)
    stage.begin("e1", 2)
    counts = Counter(stage.choose() for _ in range(300))
    assert counts["e1"] == 0
    assert len(counts) == n - 1
    stage.begin("e1", -1)
    counts = Counter(stage.choose() for _ in range(6 * n))
    assert 0 < counts["e1"] <= 16


@pytest.mark.parametrize("endpoints", [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1}])
@pytest.mark.parametrize("algorithm", ["roundrobin", "static-rr", "leastconn", "random", "first"])
def test_all_full_means_the_backends_queue(endpoints: dict[str, int], algorithm: str) -> None:
    stage = Stage([{"name": name, "weight": weight, "maxconn": 1} for name, weight in endpoints.items()], algorithm)
    for name in endpoints:
        stage.begin(name)
    for _ in range(10):
        assert ask(stage) == (None, True, None)
    stage.begin("a", -1)
    assert [stage.choose() for _ in range(5)] == ["a"] * 5


# ---- 12.2 static-rr and map-based


@pytest.mark.parametrize("weights", [{"a": 1, "b": 2, "c": 3}, {"a": 10, "b": 20, "c": 30}])
def test_static_rr_walks_haproxys_map(weights: dict[str, int]) -> None:
    assert Stage(weights, "static-rr").row(12) == "acbcbcacbcbc"


def static_map(weights: Sequence[int]) -> list[int]:
    divisor = math.gcd(*weights)
    weights = [weight // divisor for weight in weights]
    total, scores, slots = sum(weights), [0] * len(weights), []
    for _ in range(total):
        scores = [score + weight for score, weight in zip(scores, weights, strict=True)]
        levels = [(score + total) // total for score in scores]
        slots.append(levels.index(max(levels)))
        scores[slots[-1]] -= total
    return slots


@pytest.mark.parametrize("seed", range(5))
def test_static_rr_follows_the_words_of_the_specification(seed: int) -> None:
    chance = random.Random(seed)
    weights = [chance.randint(1, 60) for _ in range(chance.choice([2, 5, 30]))]
    stage, slots = Stage(weighted(weights), "static-rr"), static_map(weights)
    assert [stage.choose() for _ in range(2 * len(slots))] == [f"e{i}" for i in 2 * slots]


def test_a_map_that_would_be_huge_is_coarser_but_keeps_the_order_of_weights() -> None:
    weights = [255 if i % 2 else 31 for i in range(400)]
    weights[0] = 254
    stage = Stage(weighted(weights), "static-rr")
    counts = Counter(stage.choose() for _ in range(40_000))
    assert counts["e1"] > 5 * counts["e2"] > 0
    assert stage.remembered_bytes() < 1 << 20


# ---- 12.3 leastconn


def test_idle_endpoints_are_used_in_turn_whatever_their_weight() -> None:
    assert Stage({"a": 1, "b": 2, "c": 3}, "leastconn").row(9) == "abcabcabc"


@pytest.mark.parametrize("n", [3, 40])
def test_leastconn_looks_at_the_load_for_the_weight(n: int) -> None:
    stage = Stage(weighted([1, 2, 4] + [1] * (n - 3)), "leastconn")
    for i in range(n):
        stage.begin(f"e{i}", 6)
    stage.begin("e1", 4)                         # (10 + 1) * 4096 // 32 against 7 * 4096 // 64
    assert stage.row(3) == "e2e2e2"
    stage.begin("e2", 15)                        # 22 * 64, e1: 11 * 128, equal; the others 7 * 256
    assert {stage.choose() for _ in range(8)} == {"e1", "e2"}
    stage.begin("e1", -1)
    assert stage.row(2) == "e1e1"


def test_leastconn_counts_those_who_wait_and_all_workers() -> None:
    stage = Stage({"a": 1, "b": 1}, "leastconn", stripes=2)
    stage.begin("a", stripe=1)
    assert stage.row(3) == "bbb"
    stage.begin("b", 0, queued=2)
    assert stage.row(3) == "aaa"
    stage.begin("a", -5, stripe=1)               # a gauge that is read while it is written may be below zero for a moment
    assert stage.choose() == "a"


def test_a_stripe_opened_later_is_seen_after_a_refresh() -> None:
    stage = Stage({"a": 1, "b": 1}, "leastconn")
    stage.begin("a", stripe=1)
    assert stage.row(2) == "ab"
    stage.arena.open_stripe(1)
    stage.refresh()
    assert stage.row(2) == "bb"


# ---- 12.4 hash inputs


@pytest.mark.parametrize(
    ("key", "sdbm", "djb2", "wt6", "crc32", "avalanched"),
    [
        (b"", 0x00000000, 0x00001505, 0xF99A0360, 0x00000000, 0xAB4ED927),
        (b"/", 0x0000002F, 0x0002B5D4, 0x7073CEA5, 0x79D3D2D4, 0x7E3F41D0),
        (b"a", 0x00000061, 0x0002B606, 0x714BF225, 0xE8B7BE43, 0x6D1EFF97),
        (b"/a/b/c", 0x89E72859, 0x7C783058, 0xA078A6BB, 0x96CFE014, 0x4B09E967),
        (b"www.example.com", 0xA204B186, 0xA9788331, 0x248109F7, 0x2ED642BB, 0x4A164C1D),
    ],
)
def test_the_table_of_hashes(key: bytes, sdbm: int, djb2: int, wt6: int, crc32: int, avalanched: int) -> None:
    assert [digest(name, key) for name in ("sdbm", "djb2", "wt6", "crc32")] == [sdbm, djb2, wt6, crc32]
    assert avalanche(sdbm) == avalanched


def test_avalanche_of_numbers() -> None:
    assert [avalanche(word) for word in (0, 1, 4096, 8192)] == [0xAB4ED927, 0x348681B6, 0x49C2008B, 0x405AFE73]


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"12", 12), (b"-3", 2**32 - 3), (b"+5", 5), (b"12abc", 12), (b"abc", 0), (b"", 0), (b"-", 0), (b"99999999999", 99999999999 % 2**32)],
)
def test_none_takes_the_number_that_is_written(text: bytes, value: int) -> None:
    assert digest("none", text) == value


PATHS = [f"/p/{i}/x{i * i}?q={i}" for i in range(36)] + ["/"]
WEIGHTS = {"a": 1, "b": 3, "c": 2, "d": 1}


@pytest.mark.parametrize(
    ("settings", "observed"),                    # on HAProxy 2.6, which got the same requests
    [
        ({"consistent": True, "avalanche": True}, "bdcabbcadbbabbdacbbdbdaadbaaacbbabdab"),
        ({"consistent": True, "function": "djb2"}, "ccccddddddbcbbbabbbbbbbabcbbabbcabbdd"),
        ({"consistent": True, "function": "wt6"}, "dcbbadbabbabdcadcccbaadbdbcbbabbccdba"),
        ({"consistent": True, "function": "crc32", "avalanche": True}, "bccccbbaccbdbbcbcbaccbcabcbbbbccddacc"),
        ({}, "bcdbdcbdbcbbbcbbcdadcbdabccbccbbcbccc"),
        ({"function": "djb2", "avalanche": True}, "dbbcdbabbcabccbbcaddbcddcabbbdcccccdb"),
        ({"length": 6, "depth": 1}, "c" * 37),
        ({"whole": True}, "cbbdbabbdaacbcaabbcabcbdbccbbbdbdbddc"),
    ],
)
def test_paths_go_where_haproxy_sends_them(settings: dict[str, Any], observed: str) -> None:
    stage = Stage(WEIGHTS, "uri", **settings)
    assert "".join(stage.choose(target=path) for path in PATHS) == observed


@pytest.mark.parametrize(
    ("settings", "observed"),
    [({"consistent": True, "avalanche": True}, "bbbbcdbbaddacbbabcdddbbcbbccbc"), ({}, "baccbdbbaccbdbbaccbdbbaccbdbba")],
)
def test_sources_go_where_haproxy_sends_them(settings: dict[str, Any], observed: str) -> None:
    stage = Stage(WEIGHTS, "source", **settings)
    assert "".join(stage.choose(source=f"127.0.{i}.{i + 1}") for i in range(30)) == observed


def chosen_by(key: bytes) -> str:
    """Where the map-based sdbm hash of the key leads."""
    return "abcd"[static_map(list(WEIGHTS.values()))[digest("sdbm", key) % 7]]


@pytest.mark.parametrize(
    ("target", "settings", "key"),
    [
        ("/a/b/c?x=1", {}, b"/a/b/c"),
        ("/a/b/c?x=1", {"whole": True}, b"/a/b/c?x=1"),
        ("/a/b/c?x=1", {"depth": 1}, b"/a"),
        ("/a/b/c", {"depth": 2}, b"/a/b"),
        ("/a/b/c", {"depth": 9}, b"/a/b/c"),
        ("/a/b/c", {"length": 3}, b"/a/"),
        ("/a/b/c", {"length": 4, "depth": 1}, b"/a"),
        ("http://host:80/a/b/c?x=1", {}, b"/a/b/c"),
        ("http://host:80/a/b/c?x=1", {"whole": True}, b"/a/b/c?x=1"),
    ],
)
def test_what_of_a_target_is_hashed(target: str, settings: dict[str, Any], key: bytes) -> None:
    assert Stage(WEIGHTS, "uri", **settings).choose(target=target) == chosen_by(key)


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/?user=bob", b"bob"), ("/?a=b&user=bob&c", b"bob"), ("/?user=&x", b""), ("/?xuser=q&user=al", b"al"),
        ("/?user=bob;x=1", b"bob;x=1"), ("/p?USER=bob&user=zz", b"zz"), ("/?user&user=1", b"1"), ("/?user=a=b", b"a=b"),
        ("/?user=1&user=2", b"1"), ("/?user=a?user=b", b"a?user=b"),
    ],
)
def test_what_of_a_query_is_hashed(target: str, key: bytes) -> None:
    assert Stage(WEIGHTS, "url_param", key="user").choose(target=target) == chosen_by(key)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("bob", b"bob"), ("alice, bob", b"alice"), ("alice , bob", b"alice"), ('"q,r",s', b'"q,r"'), ('"q\\",r",s', b'"q\\",r"'),
        ('"q', b'"q'),
    ],
)
def test_what_of_a_header_is_hashed(value: str, key: bytes) -> None:
    stage = Stage(WEIGHTS, "hdr", key="x-user")
    assert stage.choose(target="/", headers=[("Accept", "x"), ("X-User", value), ("X-User", "other")]) == chosen_by(key)


@pytest.mark.parametrize(
    ("algorithm", "key", "asked"),
    [
        ("hdr", "x-user", {"target": "/"}), ("hdr", "x-user", {"target": "/", "headers": [("X-User", "")]}),
        ("hdr", "x-user", {"target": "/", "headers": [("X-User", " , b")]}), ("hdr", "x-user", {}), ("uri", "", {"target": "*"}),
        ("url_param", "user", {"target": "/?user"}), ("url_param", "user", {"target": "/"}), ("source", "", {}),
    ],
)
def test_without_a_key_endpoints_take_turns(algorithm: str, key: str, asked: dict[str, Any]) -> None:
    assert Stage(WEIGHTS, algorithm, key=key).row(14, **asked) == 2 * "abbcbcd"
    assert Stage(WEIGHTS, algorithm, key=key, consistent=True).row(14, **asked) == Stage(WEIGHTS).row(14)


def test_an_ipv6_source_is_folded() -> None:
    stage = Stage(WEIGHTS, "source")
    word = 0x20010DB8 ^ 0x00000001 ^ 0x00020003 ^ 0x00040005
    slots = static_map(list(WEIGHTS.values()))
    assert stage.choose(source="2001:db8:0:1:2:3:4:5") == "abcd"[slots[word % 7]]
    assert stage.choose(source="10.0.0.9") == "abcd"[slots[0x0A000009 % 7]]


# ---- 12.5 consistent


def ring_choice(weights: Sequence[int], ids: Sequence[int], value: int) -> int:
    """Section 12.5 word for word."""
    nodes = sorted((avalanche(ids[i] * 4096 + n), i) for i, w in enumerate(weights) for n in range(16 * w))
    at = bisect.bisect_left(nodes, (value, -1)) % len(nodes)
    before = nodes[at - 1]
    return before[1] if (value - before[0]) % 2**32 <= (nodes[at][0] - value) % 2**32 else nodes[at][1]


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_ring_follows_the_words_of_the_specification(n: int) -> None:
    chance = random.Random(n)
    weights, ids = [chance.randint(1, 9) for _ in range(n)], chance.sample(range(1, 4000), n)
    endpoints = [{"name": f"e{i}", "weight": w, "id": ids[i]} for i, w in enumerate(weights)]
    stage = Stage(endpoints, "url_param", key="k", consistent=True, function="none")
    for value in [0, 2**32 - 1, *(chance.randrange(2**32) for _ in range(200))]:
        assert stage.choose(target=f"/?k={value}") == f"e{ring_choice(weights, ids, value)}"


def test_consistent_means_that_few_move_when_one_falls() -> None:
    stage = Stage(named(10, weight=4), "source", consistent=True, avalanche=True, claimed=True)
    sources = [f"10.0.{i // 250}.{i % 250}" for i in range(2000)]
    before = {source: stage.choose(source=source) for source in sources}
    stage.arena.set_standing(stage.slot("e3"), standing=DOWN)
    after = {source: stage.choose(source=source) for source in sources}
    assert all(after[source] == was for source, was in before.items() if was != "e3")
    assert "e3" not in after.values()
    stage.arena.set_standing(stage.slot("e3"), standing=UP)
    assert {source: stage.choose(source=source) for source in sources} == before


def test_a_ring_that_would_be_huge_is_coarser() -> None:
    stage = Stage(named(600, weight=256), "source", consistent=True, avalanche=True)
    counts = Counter(stage.choose(source=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}") for i in range(20_000))
    assert len(counts) > 580
    assert stage.remembered_bytes() < 10 << 20


# ---- 12.6 random, first


@pytest.mark.parametrize("n", [4, 40])
def test_random_draws_by_weight(n: int) -> None:
    weights = [1 + 3 * (i % 2) for i in range(n)]
    stage = Stage(weighted(weights), "random", draws=1)
    counts = Counter(stage.choose() for _ in range(20_000))
    for i, weight in enumerate(weights):
        expected = 20_000 * weight / sum(weights)
        assert abs(counts[f"e{i}"] - expected) < 6 * math.sqrt(expected)


def test_of_two_draws_the_less_busy_one_is_taken() -> None:
    stage = Stage({"a": 1, "b": 1}, "random")
    stage.begin("a", 3)
    counts = Counter(stage.choose() for _ in range(4000))
    assert abs(counts["a"] - 1000) < 200         # only when both draws fell on it
    heavy = Stage({"a": 4, "b": 1}, "random", draws=20)
    heavy.begin("a", 3)
    heavy.begin("b", 1)                          # 3 for weight 4 is less than 1 for weight 1
    assert Counter(heavy.choose() for _ in range(200))["a"] > 190


def test_even_draws_do_not_pile_up() -> None:
    stage = Stage({"a": 1, "b": 1}, "random", draws=30)
    assert stage.row(20) in (10 * "ab", 10 * "ba")               # the one that was chosen longer ago


def test_nobody_waits_for_a_full_one_while_another_has_room() -> None:
    stage = Stage([{"name": "a", "maxconn": 1}, {"name": "b", "maxconn": 1}], "random", draws=1)
    stage.begin("a")
    assert stage.row(30) == "b" * 30


def test_first_fills_one_after_the_other() -> None:
    stage = Stage([{"name": name, "maxconn": 2} for name in "abc"], "first")
    row = ""
    for _ in range(6):
        row += stage.choose()
        stage.begin(row[-1])
    assert row == "aabbcc"
    assert ask(stage) == (None, True, None)
    stage.begin("b", -1)
    assert stage.choose() == "b"


# ---- standing, weight, backups


ALL = ["roundrobin", "static-rr", "leastconn", "source", "uri", "url_param", "hdr", "random", "first"]


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("n", [3, FEW, FEW + 1])
@pytest.mark.parametrize("consistent", [False, True])
def test_only_those_who_are_up_and_have_weight_are_chosen(algorithm: str, n: int, consistent: bool) -> None:
    stage = Stage(weighted([1 + i % 2 for i in range(n)]), algorithm, claimed=True, key="k", consistent=consistent, avalanche=True)

    def choices() -> set[str]:
        asked = ({"target": f"/{i}?k={i}", "headers": [("k", str(i))], "source": f"10.0.0.{i % 250}"} for i in range(150))
        return {stage.choose(**each) for each in asked}

    everybody = {f"e{i}" for i in range(n)}
    assert choices() <= everybody
    assert algorithm == "first" or len(choices()) > n // 2
    usable = set(everybody)
    for name, change in zip(sorted(everybody)[:-1], [{"standing": word} for word in (DOWN, DRAINING, MAINTENANCE)] * n, strict=False):
        stage.arena.set_standing(stage.slot(name), **change)
        usable.discard(name)
        assert choices() <= usable
    last = usable.pop()
    assert choices() == {last}
    stage.arena.set_standing(stage.slot(last), weight=0)
    assert ask(stage) == (None, False, None)
    stage.arena.set_standing(stage.slot(last), weight=3)
    assert choices() == {last}


@pytest.mark.parametrize("n", [1, 3, 40])
def test_the_first_usable_backup_serves_alone_and_only_in_need(n: int) -> None:
    backups = [{"name": "x", "backup": True}, {"name": "y", "backup": True}]
    stage = Stage([backups[0], *named(n), backups[1]], claimed=True)
    assert {stage.choose() for _ in range(3 * n)} == {f"e{i}" for i in range(n)}
    for i in range(n):
        stage.arena.set_standing(stage.slot(f"e{i}"), standing=DOWN)
    assert stage.choose() == stage.choose() == "x"
    stage.arena.set_standing(stage.slot("x"), standing=MAINTENANCE)
    assert stage.choose() == stage.choose() == "y"
    stage.arena.set_standing(stage.slot("e0"), standing=UP)
    assert stage.choose() == "e0"


def test_an_empty_backend_has_nobody() -> None:
    assert ask(Stage({})) == (None, False, None)
    assert ask(Stage({"a": 0}), cookie=b"a") == (None, False, None)


def test_weights_in_the_arena_hold_against_those_of_the_table() -> None:
    stage = Stage({"a": 1, "b": 1}, claimed=True)
    stage.arena.set_standing(stage.slot("a"), weight=3)
    assert Counter(stage.row(400))["a"] == 300


@pytest.mark.parametrize(("percent", "scale"), [(0, 1), (25, 5), (50, 9), (99, 16), (100, 16)])
def test_slow_start_scales_the_weight(percent: int, scale: int) -> None:
    stage = Stage({"a": 1, "b": 1}, claimed=True)
    stage.arena.set_standing(stage.slot("a"), percent=percent)
    assert Counter(stage.row(100 * (16 + scale)))["a"] == 100 * scale


def test_slow_start_scales_the_limit_to_at_least_one() -> None:
    stage = Stage([{"name": "a", "maxconn": 10}], claimed=True)
    for percent, most in ((0, 1), (35, 3), (100, 10)):
        stage.arena.set_standing(stage.slot("a"), percent=percent)
        for _ in range(most):
            assert stage.choose() == "a"
            assert stage.has_room("a")
            stage.begin("a")
        assert ask(stage) == (None, True, None)
        assert not stage.has_room("a")
        stage.begin("a", -most)


def test_a_limit_holds_over_all_workers() -> None:
    stage = Stage([{"name": "a", "maxconn": 4}], stripes=3)
    for stripe in (0, 1, 2):
        stage.begin("a", stripe=stripe)
    assert stage.choose() == "a"
    stage.begin("a", stripe=2)
    assert ask(stage) == (None, True, None)


# ---- cookies


def sticky(n: int, **more: Any) -> Stage:
    return Stage([{"name": f"e{i}", "cookie": f"cookie-{i}"} for i in range(n)], claimed=True, **more)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_a_cookie_leads_to_its_endpoint(n: int) -> None:
    stage = sticky(n)
    for i in (n - 1, 0):
        assert stage.ask(cookie=b"cookie-%d" % i) == {
            "endpoint": f"e{i}", "full": False, "bound": None, "by_cookie": True, "cookie_down": False,
        }


@pytest.mark.parametrize("cookie", [b"cookie-", b"cookie-00", b"Cookie-0", b"x", b"\0" * 4000])
@pytest.mark.parametrize("n", [3, 40])
def test_an_unknown_cookie_is_nobodys(n: int, cookie: bytes) -> None:
    stage = sticky(n)
    assert [stage.choose(cookie=cookie) for _ in range(3)] == ["e0", "e1", "e2"]
    assert not stage.ask(cookie=cookie)["by_cookie"]


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize(("change", "honoured"), [
    ({"weight": 0}, True), ({"standing": DRAINING}, True), ({"standing": DOWN}, False), ({"standing": MAINTENANCE}, False),
])
def test_a_cookie_outlasts_weight_and_draining_but_not_a_fall(n: int, change: dict[str, int], honoured: bool) -> None:
    stage = sticky(n)
    stage.arena.set_standing(stage.slot("e1"), **change)
    answer = stage.ask(cookie=b"cookie-1")
    assert (answer["endpoint"] == "e1", answer["by_cookie"], answer["cookie_down"]) == (honoured, honoured, not honoured)
    assert answer["endpoint"] is not None
    assert "e1" not in {stage.choose() for _ in range(2 * n)}


def test_an_endpoint_without_cookie_is_not_led_to_by_an_empty_one() -> None:
    stage = Stage({"a": 1, "b": 1})
    assert not stage.ask(cookie=b"")["by_cookie"]


def test_a_full_endpoint_is_waited_for_by_those_whose_cookie_names_it() -> None:
    stage = Stage([{"name": name, "cookie": name, "maxconn": 1} for name in "ab"], maxqueue=2)
    stage.begin("a")
    assert stage.ask(cookie=b"a") == {"endpoint": None, "full": True, "bound": "a", "by_cookie": True, "cookie_down": False}
    assert stage.choose() == "b"
    stage.begin("a", -1, queued=1)
    assert ask(stage, cookie=b"a") == (None, True, "a")         # who came first has the place that is free now
    stage.begin("a", 1, queued=1)
    assert stage.ask(cookie=b"a") == {"endpoint": "b", "full": False, "bound": None, "by_cookie": False, "cookie_down": False}


def test_a_hash_is_waited_for_too_until_the_queue_is_full() -> None:
    stage = Stage([{"name": name, "maxconn": 1} for name in "ab"], "source", maxqueue=1)
    name = stage.choose(source="10.0.0.1")
    stage.begin(name)
    assert ask(stage, source="10.0.0.1") == (None, True, name)
    stage.begin(name, 0, queued=1)
    assert ask(stage, source="10.0.0.1") == (None, False, None)


# ---- who has just failed


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("weights", [[1, 1, 1], [3, 2, 1], [1 + i % 3 for i in range(40)]])
@pytest.mark.parametrize("consistent", [False, True])
def test_the_one_that_just_failed_is_avoided(algorithm: str, weights: list[int], consistent: bool) -> None:
    endpoints = [{**endpoint, "cookie": endpoint["name"]} for endpoint in weighted(weights)]
    stage = Stage(endpoints, algorithm, key="k", consistent=consistent)
    for i in range(60):
        asked = {"target": f"/{i}?k={i}", "headers": [("k", str(i))], "source": f"10.0.0.{i}"}
        name = stage.choose(**asked)
        assert stage.choose(avoid=name, **asked) not in (name, None)
        assert stage.choose(avoid=name, cookie=name.encode(), **asked) not in (name, None)


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("weights", [[1], [1, 1], [1, 2], [1 + i % 3 for i in range(40)]])
def test_but_taken_where_it_is_the_last(algorithm: str, weights: list[int]) -> None:
    stage = Stage(weighted(weights), algorithm, key="k", claimed=True)
    for i in range(1, len(weights)):
        stage.arena.set_standing(stage.slot(f"e{i}"), standing=DOWN)
    assert stage.choose(avoid="e0", target="/?k=1", headers=[("k", "1")], source="10.0.0.1") == "e0"


@pytest.mark.parametrize("algorithm", ["roundrobin", "static-rr", "leastconn", "random", "first"])
@pytest.mark.parametrize("weights", [[1, 1, 1], [3, 2, 1], [1 + i % 3 for i in range(40)]])
def test_and_where_all_others_are_full(algorithm: str, weights: list[int]) -> None:
    stage = Stage([{**endpoint, "maxconn": 1} for endpoint in weighted(weights)], algorithm)
    for i in range(1, len(weights)):
        stage.begin(f"e{i}")
    for _ in range(5):
        assert stage.choose(avoid="e0") == "e0"


# ---- what is remembered


def test_what_is_remembered_goes_with_its_table() -> None:
    stage = Stage(named(100), "source", consistent=True)
    assert stage.remembered_bytes() == 0
    stage.choose(source="10.0.0.1")
    assert 0 < stage.remembered_bytes() < 100_000
    stage.forget()
    assert stage.remembered_bytes() == 0
    assert stage.choose(source="10.0.0.1")


def test_small_backends_are_not_remembered() -> None:
    stage = Stage(named(FEW))
    stage.row(20)
    assert stage.remembered_bytes() == 0


@pytest.mark.parametrize("algorithm", ALL)
def test_garbage_in_the_cells_is_outlived(algorithm: str) -> None:
    """Another algorithm used the same cells before: everybody still gets a turn."""
    weights = {"a": 1, "b": 2, "c": 3}
    stage = Stage(weights, algorithm, key="k")
    for i in range(50):
        stage.choose(target=f"/{i}?k={i}", source=f"10.0.0.{i}")
    after = Stage(weights, "roundrobin", arena=stage.arena)
    assert Counter(after.row(600)) == pytest.approx({"a": 100, "b": 200, "c": 300}, abs=3)
