"""What is written for each proxy is accepted by it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.loads.certificates import Authority, Certificates, make_crowd
from bench.loads.handoff import setups as handoff
from bench.loads.setups import PREPARE
from bench.loads.site import HOST, INNER, RSA, Ports, Site

BACKEND = Ports(9000, 9001, 9002, 9003)
PROXY = Ports(9010, 9011, 9012, 9013)
CHECKS = {
    "edged": lambda command: [sys.executable, "-m", "edged", "check", *command[4:]],
    "haproxy": lambda command: [*command, "-c"],
    "nginx": lambda command: [*command, "-t"],
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    folder, authority = tmp_path_factory.mktemp("site"), Authority()
    certificates = Certificates.make(folder / "certificates", authority, [HOST, INNER], [RSA], [INNER])
    crowd = make_crowd(folder / "crowd", authority, [Site.crowd_name(number) for number in range(3)])
    return {
        "one route": Site(1, 1, BACKEND),
        "many routes": Site(300, 2, BACKEND),
        "TLS": Site(1, 1, BACKEND, certificates),
        "many certificates": Site(1, 1, BACKEND, certificates, crowd),
    }


@pytest.mark.parametrize("site", ["one route", "many routes", "TLS", "many certificates"])
@pytest.mark.parametrize("kind", PREPARE)
def test_a_proxy_accepts_what_is_written_for_it(kind: str, site: str, sites: dict[str, Site], tmp_path: Path) -> None:
    command = CHECKS[kind](PREPARE[kind](tmp_path, sites[site], PROXY))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unknown" not in done.stdout + done.stderr


@pytest.mark.parametrize("hard_stop", ["", "30s"])
@pytest.mark.parametrize("kind", handoff.SETUPS)
def test_a_daemon_accepts_what_is_written_for_the_hand_off(kind: str, hard_stop: str, sites: dict[str, Site], tmp_path: Path) -> None:
    certificates = sites["TLS"].certificates
    assert certificates
    behind = handoff.Behind(9000, 9001, 9002, 9003)
    setup = handoff.SETUPS[kind](tmp_path, PROXY, behind, certificates, 2, hard_stop)
    done = subprocess.run(CHECKS[kind](setup.command), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
