"""The table with 10,000 routes of two endpoints each: look-ups in C (divide by LOOKUPS), builds and opening."""

import hashlib
import os
import random
from dataclasses import replace

import pytest

from edged._fast.route.table import TableBuilder, open_table
from edged.model.backend import Backend, Endpoint
from edged.model.policy import Cookie, Insecure, Termination
from edged.model.route import Route
from edged.model.state import State
from tests._fast.route.sites import Slots, build, route
from tests.doors import table_doors as door

ROUTES = 10_000
LOOKUPS = 1000


def digest(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def cluster_route(i):
    """As a cluster has them: sticky, TLS ended here, also served plain."""
    name, namespace = f"app-{i}", f"team-{i % 300}"
    endpoints = tuple(Endpoint(ip, 8080, f"pod:{name}-{k}:{name}::{ip}:8080", cookie=digest(ip))
                      for k in range(2) for ip in [f"10.{k}.{i >> 8}.{i & 255}"])
    return Route(
        key=f"{namespace}/{name}", host=f"{name}-{namespace}.apps.example.com", path="",
        termination=Termination.EDGE, insecure=Insecure.ALLOW, cookie=Cookie(digest(name)),
        backend=Backend(f"be_edge_http:{namespace}:{name}", endpoints))


@pytest.fixture(scope="module")
def routes():
    return tuple(cluster_route(i) for i in range(ROUTES))


@pytest.fixture(scope="module")
def table(routes):
    return build(routes)


@pytest.mark.parametrize("hosts", [1, 100, LOOKUPS])
def test_look_up(benchmark, table, routes, hosts):
    benchmark.group = f"{LOOKUPS} look-ups in {ROUTES} routes"
    in_use = random.Random(1).sample(routes, hosts)
    asked = [(r.host.encode(), b"/some/page.html") for r in in_use]
    assert benchmark(door.find_many, table, asked, LOOKUPS // hosts) == LOOKUPS


def test_look_up_in_vain(benchmark, table):
    benchmark.group = f"{LOOKUPS} look-ups in {ROUTES} routes"
    asked = [(f"nobody-{i}.apps.example.com".encode(), b"/") for i in range(LOOKUPS)]
    assert benchmark(door.find_many, table, asked, 1) == 0


@pytest.mark.parametrize("paths", [2, 500])
def test_look_up_among_paths_of_one_host(benchmark, paths):
    benchmark.group = f"{LOOKUPS} look-ups on one host"
    many = build(route("www.example.com", f"/service-{i:03}/v1") for i in range(paths))
    chance = random.Random(2)
    asked = [(b"www.example.com", b"/service-%03d/v1/items/17" % chance.randrange(paths)) for _ in range(LOOKUPS)]
    assert benchmark(door.find_many, many, asked, 1) == LOOKUPS


def closed(fd):
    os.close(fd)
    return fd


def test_build_after_one_change(benchmark, routes):
    benchmark.group = f"builds of {ROUTES} routes"
    builder, slots = TableBuilder(), Slots()
    closed(builder.build(State(1, routes), slots))

    def changed():
        middle = routes[ROUTES // 2]
        again = replace(middle, backend=replace(middle.backend, endpoints=middle.backend.endpoints[:1]))
        return (State(2, (*routes[:ROUTES // 2], again, *routes[ROUTES // 2 + 1:])),), {}

    assert benchmark.pedantic(lambda state: closed(builder.build(state, slots)), setup=changed, rounds=50) >= 0


def test_first_build(benchmark, routes):
    benchmark.group = f"builds of {ROUTES} routes"
    slots = Slots()
    assert benchmark.pedantic(lambda: closed(TableBuilder().build(State(1, routes), slots)), rounds=5) >= 0


def test_open(benchmark, routes):
    benchmark.group = f"builds of {ROUTES} routes"
    fd = TableBuilder().build(State(1, routes), Slots())
    benchmark.extra_info["table_bytes"] = open_table(fd).size_bytes
    assert benchmark(open_table, fd).version == 1
    os.close(fd)
