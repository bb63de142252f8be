"""Listeners and endpoints of every family."""

import json
import os
import socket
import stat

import pytest

from tests.scenarios.harness.client import get


@pytest.fixture(scope="module")
def everywhere(lasting_daemon, lasting_backend, tmp_path_factory):
    """A daemon with a listener of each family, and a route to an endpoint of each."""
    directory = tmp_path_factory.mktemp("sockets")
    endpoints = {"v4": lasting_backend(), "v6": lasting_backend(host="::1"), "unix": lasting_backend(path=str(directory / "app.sock"))}
    return lasting_daemon(
        {
            "listener": [
                {"name": "v4", "address": "127.0.0.1:0"},
                {"name": "v6", "address": "[::1]:0"},
                {"name": "unix", "address": f"unix:{directory}/edged.sock", "permissions": 0o600},
                {"name": "dual", "address": "[::]:0"},
            ],
            "worker": {"count": 2},
        },
        [{"host": f"{name}.test", "to": [one.address]} for name, one in endpoints.items()],
    )


@pytest.mark.parametrize("listener", ["v4", "v6", "unix", "dual"])
def test_every_family_speaks_to_every_other(everywhere, listener):
    address = everywhere.address(listener)
    for endpoint in ("v4", "v6", "unix"):
        told = json.loads(get(address, f"/{listener}", f"{endpoint}.test").body)
        assert told["target"] == f"/{listener}"
        source = dict(told["fields"]).get("x-forwarded-for")
        assert source == {"v4": "127.0.0.1", "v6": "::1", "dual": "::1", "unix": source}[listener]


def test_a_dual_listener_calls_ipv4_clients_by_their_own_address(everywhere):
    _, port = everywhere.address("dual")
    told = json.loads(get(("127.0.0.1", port), "/", "v4.test").body)
    assert dict(told["fields"])["x-forwarded-for"] == "127.0.0.1"


def test_the_file_of_a_unix_listener_has_the_permissions_asked_for(everywhere):
    assert stat.S_IMODE(os.stat(everywhere.address("unix")).st_mode) == 0o600


def test_the_file_that_a_crash_left_behind_is_no_hindrance(daemon, backend, tmp_path):
    path = str(tmp_path / "left.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    edged = daemon({"listener": [{"name": "web", "address": f"unix:{path}"}]}, [{"host": "*", "to": [backend().address]}])
    assert get(edged.address()).status == 200


def test_addresses_of_ipv6_clients_are_logged(everywhere):
    with everywhere.connect("v6") as client:
        client.ask("/six", "v4.test")
        assert '"GET /six HTTP/1.1"' in everywhere.line_of(client)
