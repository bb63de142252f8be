"""From host and path to a route (openshift-routes.md 5), and from the state to the file that answers it."""

import fcntl
import os
import random
import re
from dataclasses import replace

import pytest

from edged._fast.route.table import TableBuilder, TableError, open_table
from edged.model.backend import Endpoint
from edged.model.certificate import Trust
from edged.model.listener import Listener, Mode
from edged.model.policy import Algorithm, Balance, Cookie, Forwarded, HeaderAction, Insecure, Termination, Timeouts
from edged.model.state import State
from tests._fast.route.sites import Slots, backend, build, route
from tests.doors import table_doors as door

PLAIN, TLS, PASSTHROUGH, find = door.PLAIN, door.TLS, door.PASSTHROUGH, door.find
EDGE, REENCRYPT, PASS = Termination.EDGE, Termination.REENCRYPT, Termination.PASSTHROUGH


# ---- host and path ----------------------------------------------------------------------------------------------------


def reached(routes, host, path, mask=PLAIN):
    return find(build(routes), host, path, mask)[0]


@pytest.mark.parametrize(
    ("present", "path", "wanted"),
    [
        (["/test"], b"/test", "/test"),
        (["/test"], b"", None),
        (["/test", ""], b"/test", "/test"),
        (["/test", ""], b"", ""),
        ([""], b"/test", ""),
        ([""], b"", ""),
    ],
)
def test_the_seed_table_of_paths_holds(present, path, wanted):
    routes = [route("www.example.com", p, key=p or "whole") for p in present]
    assert reached(routes, b"www.example.com", path) == ("whole" if wanted == "" else wanted)


@pytest.mark.parametrize(
    ("of", "yes", "no"),
    [
        ("", [b"", b"/", b"/x", b"*"], []),
        ("/", [b"", b"/", b"/x"], []),
        ("//", [b"", b"/", b"/x", b"//"], []),
        ("/test", [b"/test", b"/test/", b"/test/x", b"/test//"], [b"/testing", b"/test.html", b"/Test", b"/tes", b"/", b"", b"/%74est"]),
        ("/test/", [b"/test/", b"/test/x", b"/test//"], [b"/test", b"/testx/", b"/"]),
        ("/a/b", [b"/a/b", b"/a/b/c"], [b"/a", b"/a/", b"/a/bc", b"//a/b", b"/a/./b"]),
    ],
)
def test_paths_match_by_segments(of, yes, no):
    table = build([route("h.example", of, key="it")])
    for at_start in (False, True):
        assert [path for path in yes + no if find(table, b"h.example", path, PLAIN, at_start)[0] == "it"] == yes


@pytest.mark.parametrize(
    ("host", "matches"),
    [
        (b"www.example.com", True),
        (b"WWW.Example.COM", True),
        (b"www.example.com.", True),
        (b"www.example.com:8080", True),
        (b"www.example.com.:80", True),
        (b"www.example.com:", False),
        (b"www.example.com..", False),
        (b"www.example.com:80:80", False),
        (b"www.example.com:8x", False),
        (b"www.example.co", False),
        (b"ww.example.com", False),
        (b".www.example.com", False),
        (b"", False),
        (b".", False),
        (b":80", False),
        (b"80", False),
        (b"x" * 300, False),
    ],
)
def test_a_dot_and_a_port_behind_the_host_do_not_count(host, matches):
    table = build([route("www.example.com", key="it")])
    for at_start in (False, True):
        assert find(table, host, b"/", PLAIN, at_start) == ("it" if matches else None, False)


def test_addresses_are_hosts_too():
    table = build([route("[::1]", key="six"), route("192.0.2.1", key="four"), route("8080", key="digits")])
    assert find(table, b"[::1]:443", b"/", PLAIN)[0] == "six"
    assert find(table, b"[::1]", b"/", PLAIN)[0] == "six"
    assert find(table, b"192.0.2.1", b"/", PLAIN)[0] == "four"
    assert find(table, b"192.0.2.1:80", b"/", PLAIN)[0] == "four"
    assert find(table, b"8080", b"/", PLAIN)[0] == "digits"


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        (b"a.example.com", True),
        (b"www.example.com", True),
        (b"A.EXAMPLE.com.:81", True),
        (b".example.com", True),                       # QUIRK: the label may be empty
        (b"a.b.example.com", False),
        (b"example.com", False),
        (b"xexample.com", False),
    ],
)
def test_a_wildcard_claims_one_label(host, wanted):
    table = build([route("www.example.com", wildcard=True, key="wild")])
    assert find(table, host, b"/", PLAIN)[0] == ("wild" if wanted else None)


def test_a_wildcard_without_a_dot_is_an_exact_host():
    table = build([route("localhost", wildcard=True, key="it")])
    assert find(table, b"localhost", b"/", PLAIN)[0] == "it"
    assert find(table, b"a.localhost", b"/", PLAIN)[0] is None


def test_the_domain_of_a_wildcard_is_no_exact_host():
    table = build([route("w.example.com", wildcard=True, key="wild"), route("example.com", key="exact")])
    assert find(table, b"example.com", b"/", PLAIN)[0] == "exact"
    assert find(table, b"w.example.com", b"/", PLAIN)[0] == "wild"


def test_exact_hosts_come_first_and_fall_through_to_the_wildcard():
    table = build([
        route("a.example.com", "/app", key="exact"), route("w.example.com", wildcard=True, key="wild"),
        route("w.example.com", "/app/deep", wildcard=True, key="wild deep"), route("*", key="any"),
    ])
    assert find(table, b"a.example.com", b"/app", PLAIN)[0] == "exact"
    assert find(table, b"a.example.com", b"/app/deep", PLAIN)[0] == "exact"
    assert find(table, b"a.example.com", b"/other", PLAIN)[0] == "wild"
    assert find(table, b"b.example.com", b"/app/deep/1", PLAIN)[0] == "wild deep"
    assert find(table, b"b.c.example.com", b"/", PLAIN)[0] == "any"


def test_the_star_takes_what_no_other_route_claims():
    table = build([route("*", key="any"), route("*", "/admin", key="admin"), route("a.example", "/only", key="only")])
    assert find(table, b"", b"/", PLAIN)[0] == "any"
    assert find(table, b"", b"", PLAIN)[0] == "any"
    assert find(table, b"", b"/admin/x", PLAIN)[0] == "admin"
    assert find(table, b"z" * 400, b"/", PLAIN)[0] == "any"
    assert find(table, b"odd:", b"/", PLAIN)[0] == "any"
    assert find(table, b"a.example", b"/only", PLAIN)[0] == "only"
    assert find(table, b"a.example", b"/else", PLAIN)[0] == "any"
    assert find(table, b"*", b"/", PLAIN)[0] == "any"


def test_the_longest_path_wins_whatever_the_order():
    paths = ["", "/a", "/a/b", "/a/b/", "/a/b/c", "/a!x", "/a-b", "/ab", "/b"]
    for seed in range(20):
        random.Random(seed).shuffle(paths)
        table = build([route("h", path, key=path or "whole") for path in paths])
        asked = {b"/a": "/a", b"/a/": "/a", b"/a/b": "/a/b", b"/a/b/": "/a/b/", b"/a/b/x": "/a/b/", b"/a/b/c/d": "/a/b/c", b"/a!x": "/a!x",
                 b"/a!": "whole", b"/ab/c": "/ab", b"/abc": "whole", b"/a-b": "/a-b", b"": "whole", b"/zz": "whole"}
        assert {path: find(table, b"h", path, PLAIN)[0] for path in asked} == asked


def test_the_first_of_the_state_wins_where_host_and_path_are_equal():
    table = build([route("h", "/p", key="first"), route("h", "/p", key="second"), route("h", key="c"), route("h", "/", key="d")])
    assert find(table, b"h", b"/p/x", PLAIN)[0] == "first"
    assert find(table, b"h", b"/", PLAIN)[0] == "c"


def by_rule(routes, host, path, mask):
    """The rules of 5.2 and 5.3 in regular expressions, one route after the other."""
    def flags(r):
        allowed = r.termination != Termination.NONE and r.insecure == Insecure.ALLOW
        return {Termination.NONE: PLAIN, EDGE: TLS, REENCRYPT: TLS, PASS: PASSTHROUGH}[r.termination] | (PLAIN if allowed else 0)

    def is_wild(r):
        return r.wildcard and "." in r.host

    def matches(r):
        of_host = r"[^.]*\." + re.escape(r.host.split(".", 1)[1]) if is_wild(r) else re.escape(r.host)
        of_path = r.path if r.path.strip("/") else ""
        rest = "(/.*)?" if of_path and not of_path.endswith("/") else ".*"
        return re.fullmatch(of_host.encode() + rb"\.?(:[0-9]+)?", host.lower()) and (
            re.fullmatch(re.escape(of_path).encode() + rest.encode(), path, re.DOTALL))

    def rank(r):
        return (is_wild(r), -len(r.path if r.path.strip("/") else ""), routes.index(r))

    found = sorted((r for r in routes if matches(r)), key=rank)
    if mask == PLAIN and found and found[0].termination != Termination.NONE and found[0].insecure == Insecure.REDIRECT:
        return found[0].key, True
    return next((r.key for r in found if flags(r) & mask), None), False


def test_any_table_answers_as_the_rules_do():
    chance = random.Random(7)
    segments = ["a", "b", "ab", "a!", "x.y", ""]
    hosts = ["a.d.example", "b.d.example", "d.example", "a.example", "localhost"]

    def some_path():
        return "".join("/" + chance.choice(segments) for _ in range(chance.randint(0, 4)))

    for _ in range(150):
        routes = [
            route(chance.choice(hosts), some_path(), key=f"r{i}", wildcard=chance.random() < 0.3,
                  termination=chance.choice([Termination.NONE, Termination.NONE, EDGE, REENCRYPT]),
                  insecure=chance.choice(list(Insecure)))
            for i in range(chance.randint(1, 40))
        ]
        table = build(routes)
        for _ in range(60):
            host = chance.choice([*hosts, "c.d.example", ".d.example", "x.a.d.example"])
            host += chance.choice(["", "", ".", ":80", ".:8443", ":"])
            path = some_path()
            for mask in (PLAIN, TLS):
                asked = host.encode(), path.encode(), mask
                assert find(table, *asked) == by_rule(routes, *asked), (asked, [(r.host, r.path) for r in routes])


def test_hundreds_of_paths_on_one_host():
    chance = random.Random(3)
    words = ["api", "v1", "x", "users", "a-b"]
    paths = sorted({"".join("/" + chance.choice(words) for _ in range(chance.randint(1, 6))) for _ in range(900)})
    table = build([route("h", path, key=path) for path in paths])
    for path in paths:
        assert find(table, b"h", path.encode(), PLAIN)[0] == path
        longest = max((p for p in paths if (path + "/zz").startswith(p + "/")), key=len)
        assert find(table, b"h", path.encode() + b"/zz", PLAIN)[0] == longest


# ---- who is a candidate where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("termination", "insecure", "plain", "tls", "sni"),
    [
        (Termination.NONE, Insecure.NONE, ("it", False), None, None),
        (EDGE, Insecure.NONE, (None, False), "it", None),
        (EDGE, Insecure.ALLOW, ("it", False), "it", None),
        (EDGE, Insecure.REDIRECT, ("it", True), "it", None),
        (REENCRYPT, Insecure.ALLOW, ("it", False), "it", None),
        (REENCRYPT, Insecure.REDIRECT, ("it", True), "it", None),
        (PASS, Insecure.NONE, (None, False), None, "it"),
        (PASS, Insecure.REDIRECT, ("it", True), None, "it"),
        (PASS, Insecure.ALLOW, (None, False), None, "it"),
    ],
)
def test_termination_and_policy_say_where_a_route_is_a_candidate(termination, insecure, plain, tls, sni):
    table = build([route("h.example", key="it", termination=termination, insecure=insecure)])
    assert table.lookup(b"h.example", b"/") == plain
    assert table.lookup(b"h.example", b"/", False) == (tls, False)
    assert table.lookup_sni(b"h.example") == sni


def test_a_tls_route_without_policy_shadows_nothing():
    table = build([route("h", "/", key="plain"), route("h", "/secret", key="edge", termination=EDGE)])
    assert table.lookup(b"h", b"/secret") == ("plain", False)
    assert table.lookup(b"h", b"/secret", plain=False) == ("edge", False)


def test_only_the_most_specific_match_redirects():
    redirects = {"termination": EDGE, "insecure": Insecure.REDIRECT}
    table = build([
        route("h", key="whole", **redirects), route("h", "/open", key="open"), route("h", "/closed", key="closed", termination=EDGE),
    ])
    assert table.lookup(b"h", b"/x") == ("whole", True)
    assert table.lookup(b"h", b"/open/x") == ("open", False)
    assert table.lookup(b"h", b"/closed") == (None, False)          # neither redirected nor served
    table = build([route("h", key="whole"), route("h", "/safe", key="safe", **redirects)])
    assert table.lookup(b"h", b"/safe") == ("safe", True)
    assert table.lookup(b"h", b"/") == ("whole", False)
    table = build([route("a.d", "/x", key="exact"), route("w.d", key="wild", wildcard=True, **redirects)])
    assert table.lookup(b"a.d", b"/x") == ("exact", False)
    assert table.lookup(b"a.d", b"/y") == ("wild", True)


def test_a_name_of_tls_is_taken_as_it_is():
    table = build([route("h.example", key="it", termination=PASS), route("w.d.example", key="wild", termination=PASS, wildcard=True)])
    assert table.lookup_sni(b"H.example") == "it"
    assert table.lookup_sni(b"h.example.") is None
    assert table.lookup_sni(b"h.example:443") is None
    assert table.lookup_sni(b"x.d.example") == "wild"
    assert table.lookup_sni(b"x.y.d.example") is None


def test_a_host_with_tls_of_its_own_stays_out_of_a_wildcard_passthrough():
    table = build([
        route("own.d", key="edge", termination=EDGE), route("plain.d", key="plain"), route("both.d", key="pass", termination=PASS),
        route("both.d", "/x", key="path", termination=EDGE), route("w.d", key="wild", termination=PASS, wildcard=True),
    ])
    assert table.lookup_sni(b"own.d") is None
    assert table.lookup_sni(b"plain.d") == "wild"
    assert table.lookup_sni(b"both.d") == "pass"


def test_tcp_listeners_take_a_route_by_its_key():
    listeners = [
        Listener(0, "web", "127.0.0.1:80"), Listener(3, "db", "127.0.0.1:5432", Mode.TCP, route="db"),
        Listener(4, "two", "127.0.0.1:5433", Mode.TCP, route="db"), Listener(5, "lost", "127.0.0.1:5434", Mode.TCP, route="nobody"),
    ]
    table = build([route("h"), route("", key="db")], listeners=listeners)
    assert [table.listener(n) for n in range(8)] == [None, None, None, "db", "db", None, None, None]
    assert find(table, b"", b"", PLAIN)[0] is None


# ---- what the file holds ---------------------------------------------------------------------------------------------


def test_a_route_is_told_whole():
    whole = route(
        "h", "/p", key="ns/r", termination=REENCRYPT, insecure=Insecure.ALLOW, forwarded=Forwarded.IF_NONE, hsts="max-age=1",
        cookie=Cookie("sid", secure=True, same_site="Lax"), rewrite="/new", max_body_bytes=1 << 40,
        request_headers=(HeaderAction("X-A", "1"), HeaderAction("X-B"), HeaderAction("Content-Length", "5")),
        response_headers=(HeaderAction("x-c", ""),),
        backend=backend(
            "be_http:ns:r", endpoints=(
                Endpoint("192.0.2.1", 8080, "one", weight=256, cookie="abc", maxconn=7, server_name="s.ns.svc"),
                Endpoint("2001:db8::1", 443, "two", weight=0),
                Endpoint("/run/app.sock", 0, "three", backup=True)),
            balance=Balance(Algorithm.HDR, key="X-User", consistent=True), timeouts=Timeouts(connect_ms=5, tunnel_ms=0),
            send_proxy=2, retries=9, redispatch=3, maxqueue=11, trust=Trust(1 << 63, ()), check_name=True, send_sni=True))
    [told] = build([whole]).routes()
    be = told.pop("backend")
    assert told == {
        "key": "ns/r", "host": "h", "path": "/p", "flags": {"plain", "tls", "reencrypt"}, "forwarded": 2, "cookie_name": "sid",
        "cookie_tail": "; path=/; HttpOnly; Secure; SameSite=Lax", "hsts": "max-age=1", "rewrite": "/new", "max_body_bytes": 1 << 40,
        "request_actions": [("X-A", "1"), ("X-B", None)], "response_actions": [("x-c", "")],
    }
    endpoints = be.pop("endpoints")
    assert be == {
        "name": "be_http:ns:r", "slot": 1, "n": 3, "n_active": 2, "weight_total": 256, "connect_ms": 5, "server_ms": -1, "client_ms": -1,
        "queue_ms": -1, "tunnel_ms": 0, "server_fin_ms": -1, "client_fin_ms": -1, "retries": 9, "redispatch": 3, "send_proxy": 2,
        "algorithm": 6, "hash_function": 0, "hash_flags": 3, "draws": 2, "hash_depth": 0, "hash_length": 0, "maxqueue": 11,
        "hash_key": "x-user", "limited": 1, "trust": 1 << 63, "tls": 3,
    }
    assert [(e["slot"], e["id"], e["name"], e["cookie"], e["weight"], e["port"], e["family"], e["backup"], e["path"], e["maxconn"],
             e["server_name"]) for e in endpoints] == [
        (2, 1, "one", "abc", 256, 8080, 4, 0, "", 7, "s.ns.svc"), (3, 2, "two", "", 0, 443, 6, 0, "", 0, ""),
        (4, 3, "three", "", 1, 0, 1, 1, "/run/app.sock", 0, "")]
    assert endpoints[0]["socket"][2:8] == bytes([0x1F, 0x90, 192, 0, 2, 1])
    assert endpoints[1]["socket"][2:] == bytes([1, 0xBB, 0, 0, 0, 0, 0x20, 1, 0xD, 0xB8, *bytes(11), 1, 0, 0, 0, 0])
    assert endpoints[2]["socket"] == b""


def test_backends_of_one_name_are_one():
    routes = [route("a", backend=backend("shared", "192.0.2.1")), route("b", backend=backend("shared", "192.0.2.2")), route("c")]
    builder = TableBuilder()
    told = build(routes, builder).routes()
    assert [r["backend"]["endpoints"][0]["name"] for r in told] == ["192.0.2.1:80", "192.0.2.1:80", "192.0.2.10:80"]
    told = build(routes[1:], builder).routes()
    assert [r["backend"]["endpoints"][0]["name"] for r in told] == ["192.0.2.2:80", "192.0.2.10:80"]
    told = build(routes, builder).routes()
    assert [r["backend"]["endpoints"][0]["name"] for r in told] == ["192.0.2.1:80", "192.0.2.1:80", "192.0.2.10:80"]


@pytest.mark.parametrize(
    ("rewrite", "held"),
    [("/a b", "/a%20b"), ("/é", "/%C3%A9"), ("/a#", "/a#"), ("/a#b", "/a%23b"), ("/a#b##", "/a%23b#"), ("/%41", "/%41")],
)
def test_a_rewrite_can_stand_in_a_request_line(rewrite, held):
    assert build([route("h", rewrite=rewrite)]).routes()[0]["rewrite"] == held


@pytest.mark.parametrize(
    "bad",
    [
        {"hsts": "max-age=1\r\nX: y"}, {"host": "a\nb"}, {"key": "k\x7f"}, {"cookie": Cookie("a b")},
        {"cookie": Cookie("a", same_site="x;y")},
        {"request_headers": (HeaderAction("X-A", "1\r\n2"),)}, {"request_headers": (HeaderAction("X A", "1"),)},
        {"response_headers": (HeaderAction("", "1"),)}, {"max_body_bytes": -1}, {"termination": "odd"}, {"path": 5}, {"host": "\ud800"},
        {"backend": backend(endpoints=(Endpoint("nowhere", 80, "e"),))},
        {"backend": backend(endpoints=(Endpoint("192.0.2.1", 65536, "e"),))},
        {"backend": backend(endpoints=(Endpoint("192.0.2.1", 80, "e", weight=257),))}, {"backend": backend(retries=-1)},
        {"backend": backend(endpoints=(Endpoint("192.0.2.1", 80, "e", cookie="a;b"),))}, {"backend": backend(send_proxy=3)},
        {"backend": backend(endpoints=(Endpoint("/" + "x" * 107, 0, "e"),))}, {"backend": backend(timeouts=Timeouts(connect_ms=-2))},
        {"backend": backend(balance=Balance(function="md5"))}, {"backend": backend(endpoints=(Endpoint("fe80::1%eth0", 80, "e"),))},
        {"backend": backend(endpoints=(Endpoint("192.0.2.1", 80, "e", server_name="a b"),))}, {"backend": backend(trust=Trust(0, ()))},
        {"backend": backend(trust=Trust(1 << 64, ()))},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_a_route_that_cannot_be_served_is_named_and_the_builder_goes_on(bad):
    builder = TableBuilder()
    good = [route("a"), route("b")]
    assert len(build(good, builder).routes()) == 2
    with pytest.raises(TableError) as refused:
        build([*good, replace(route("x", key="it"), **bad)], builder)
    assert refused.value.key == bad.get("key", "it")
    assert str(refused.value).startswith(f"{refused.value.key}: ")
    assert [r["key"] for r in build([*good, route("c")], builder).routes()] == ["a", "b", "c"]


def test_an_endpoint_without_a_slot_is_an_error():
    with pytest.raises(TableError, match=r"^h: 192\.0\.2\.10:80 has no slot$"):
        TableBuilder().build(State(1, (route("h"),)), {("be:h", ""): 1})


def test_an_empty_state_is_a_table_too():
    table = build([], version=1 << 40)
    assert (table.version, table.routes(), table.lookup(b"h", b"/"), table.listener(0)) == (1 << 40, [], (None, False), None)


# ---- builds that follow one another ----------------------------------------------------------------------------------


def test_a_table_built_on_the_last_one_equals_one_built_afresh():
    chance = random.Random(11)
    builder, slots = TableBuilder(), Slots()
    routes = [route(f"h{i}.example", key=f"k{i}") for i in range(60)]
    for version in range(200):
        i = chance.randrange(len(routes))
        match chance.randrange(6):
            case 0 if len(routes) > 5:
                del routes[i]
            case 1:
                routes.insert(i, route(f"h{version}.new", "/p" * chance.randint(0, 3), key=f"n{version}"))
            case 2:
                chance.shuffle(routes)
            case 3:
                routes[i] = replace(routes[i], path=f"/{version}")
            case 4:
                routes[i] = replace(routes[i], host=chance.choice(["*", "w.example", "h1.example"]), wildcard=True)
            case _:
                routes[i] = replace(routes[i], backend=backend(f"be:{routes[i].key}", f"192.0.2.{version % 250}", "192.0.2.254"))
        state = State(version, tuple(routes))
        grown, fresh = (open_once(b.build(state, slots)) for b in (builder, TableBuilder()))
        assert grown.routes() == fresh.routes()
        for r in routes:
            host = r.host.replace("*", "none.such").encode()
            assert grown.lookup(host, r.path.encode() + b"/x") == fresh.lookup(host, r.path.encode() + b"/x")
        assert grown.size_bytes < 2 * fresh.size_bytes + 4096


def open_once(fd):
    try:
        return open_table(fd)
    finally:
        os.close(fd)


def test_a_table_outlives_its_descriptor_and_its_builder():
    builder = TableBuilder()
    table = build([route("h", key="old")], builder)
    build([route("h", key="new")], builder)
    del builder
    assert table.lookup(b"h", b"/") == ("old", False)


# ---- the file itself -------------------------------------------------------------------------------------------------


def some_file() -> bytes:
    routes = [
        route("a.example", "/x", cookie=Cookie("c"), request_headers=(HeaderAction("x", "y"),)), route("a.example", termination=PASS),
        route("w.d", wildcard=True, backend=backend("b", "192.0.2.1", "2001:db8::2")), route("*", rewrite="/"), route("", key="tcp"),
        route("s", backend=backend("u", "/run/s")),
    ]
    fd = TableBuilder().build(State(5, tuple(routes), (Listener(0, "t", "x", Mode.TCP, route="tcp"),)), Slots())
    try:
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)


def opened(data: bytes, seals: int = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return open_table(fd)
    finally:
        os.close(fd)


def test_the_file_is_sealed_and_closed_on_exec():
    fd = TableBuilder().build(State(1), {})
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    assert not os.get_inheritable(fd)
    for change in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 1 << 20)):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)


@pytest.mark.parametrize(
    "data",
    [b"", b"x", bytes(4096), some_file()[:-1], some_file() + b"\0", b"X" + some_file()[1:],
     some_file()[:8] + b"\x09" + some_file()[9:]],
    ids=["empty", "short", "zeroes", "cut", "grown", "magic", "layout"],
)
def test_a_file_that_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match="table"):
        opened(data)


def test_a_file_that_may_still_change_is_refused(tmp_path):
    with pytest.raises(ValueError, match="sealed"):
        opened(some_file(), fcntl.F_SEAL_WRITE)
    with (tmp_path / "table").open("wb+") as plain:
        plain.write(some_file())
        plain.flush()
        with pytest.raises(ValueError, match="sealed"):
            open_table(plain.fileno())
    with pytest.raises(ValueError, match="sealed"):
        open_table(-1)


def use(table) -> None:
    for host in (b"a.example", b"x.d", b"none", b"s"):
        for mask in (PLAIN, TLS, PASSTHROUGH):
            for path in (b"", b"/x/y"):
                try:
                    find(table, host, path, mask)
                except UnicodeDecodeError:
                    continue
    try:
        table.listener(0)
        table.routes()
    except UnicodeDecodeError:
        return


def test_a_damaged_file_is_refused_or_harmless():
    good = some_file()
    chance = random.Random(1)
    refused = 0
    damages = [(i, bytes([value])) for i in range(len(good)) for value in (good[i] ^ 0xFF, 0xFF, 0)]
    damages += [(chance.randrange(0, len(good) - 4, 4), chance.randbytes(4)) for _ in range(4000)]
    for at, what in damages:
        try:
            table = opened(good[:at] + what + good[at + len(what):])
        except ValueError:
            refused += 1
        else:
            use(table)
    assert refused > len(good) // 4


def test_many_look_ups_through_the_door():
    table = build([route(f"h{i}") for i in range(100)])
    assert door.find_many(table, [(f"h{i}".encode(), b"/") for i in range(120)], 3) == 300
