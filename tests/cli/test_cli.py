import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edged import __version__, cli

ROOT = Path(__file__).resolve().parents[2]

GOOD = '[[listener]]\naddress = "127.0.0.1:0"\n[sources.files]\npaths = ["routes.yaml"]\n[worker]\ncount = 1\n'
ROUTES = """\
routes:
  - {name: shop, host: shop.example.com, to: ["127.0.0.1:9001"]}
  - {name: cart, host: shop.example.com, path: /cart, to: ["127.0.0.1:9002", "127.0.0.1:9003"]}
  - {name: late, host: shop.example.com, path: /cart, to: ["127.0.0.1:9004"]}
"""


@pytest.fixture
def site(tmp_path):
    """A settings file and its routes; answers the path of the former."""

    def go(settings=GOOD, routes=ROUTES):
        (tmp_path / "routes.yaml").write_text(routes)
        path = tmp_path / "edged.toml"
        path.write_text(settings + f'[run]\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n')
        return str(path)

    return go


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])}


def command(*words):
    return subprocess.run([sys.executable, "-m", "edged", *words], env=environment(), capture_output=True, text=True, timeout=60)


def test_the_version():
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"edged {__version__}\n")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["check", "--help"], ["explain", "--help"]])
def test_help_teaches_by_example(capsys, words):
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "example" in told
    assert "edged " + (words[0] if words[0] != "--help" else "run") in told
    assert max(len(line) for line in told.splitlines()) <= 140


def test_the_wing_is_nobodys_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "wing" not in capsys.readouterr().out


def test_what_is_no_command_is_refused(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["rnu"])
    assert left.value.code == 2


def test_check_finds_nothing(site, capsys):
    path = site(routes=ROUTES.rsplit("\n", 2)[0] + "\n")
    assert cli.main(["check", "--config", path]) == 0
    assert capsys.readouterr().out == f"{path}: nothing is wrong\n"


def test_check_names_problems_of_settings_and_routes_at_once(site, capsys, tmp_path):
    path = site(GOOD + "[timeouts]\nclien = 3\n")
    assert cli.main(["check", "--config", path]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{path}:8: timeouts.clien: unknown key; did you mean "client"?'
    assert lines[1].startswith(f"{tmp_path}/routes.yaml:4: ")
    assert "shop.example.com/cart" in lines[1]
    assert len(lines) == 2


def test_check_tells_what_is_no_toml_or_not_there(tmp_path, capsys):
    path = tmp_path / "edged.toml"
    assert cli.main(["check", "--config", str(path)]) == 1
    assert capsys.readouterr().out == f"{path}: cannot be read: No such file or directory\n"
    path.write_text("a b")
    assert cli.main(["check", "--config", str(path)]) == 1
    assert capsys.readouterr().out.startswith(f"{path}:1: ")


def test_the_defaults_are_a_settings_file(capsys):
    assert cli.main(["check", "--defaults"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["timeouts"]["client"] == "30s"


def test_a_reader_that_has_read_enough_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "edged", "check", "--defaults"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_explain_tells_the_winner_the_next_and_the_loser(site, capsys, tmp_path):
    path = site()
    assert cli.main(["explain", "--config", path, "http://shop.example.com/cart/1?x"]) == 0
    assert capsys.readouterr().out.splitlines()[:5] == [
        f"shop.example.com/cart/1: route cart ({tmp_path}/routes.yaml:3), shop.example.com/cart",
        "  backend cart, balance roundrobin",
        "  endpoint 127.0.0.1:9002",
        "  endpoint 127.0.0.1:9003",
        f"next in line: route shop ({tmp_path}/routes.yaml:2), shop.example.com",
    ]


def test_explain_tells_who_lost(site, capsys, tmp_path):
    cli.main(["explain", "--config", site(), "shop.example.com/cart"])
    assert f"lost: late ({tmp_path}/routes.yaml:4): " in capsys.readouterr().out


def test_explain_tells_that_nothing_answers(site, capsys):
    assert cli.main(["explain", "--config", site(), "http://other.example/"]) == 1
    assert capsys.readouterr().out.startswith("other.example/: no route matches")


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://x:port/", "http://[::1/"])
def test_explain_needs_a_url(site, capsys, url):
    assert cli.main(["explain", "--config", site(), url]) == 2
    assert url in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("[[listener]]\n", "edged.toml:1: listener[0]: address is missing"),
        ('[[listener]]\naddress = "192.0.2.1:0"\n', 'listener "http-0": 192.0.2.1:0: no interface has this address'),
    ],
)
def test_run_says_why_it_cannot_start(site, settings, line):
    done = command("run", "--config", site(settings))
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]


def test_run_says_that_its_file_is_missing(tmp_path):
    done = command("run", "--config", str(tmp_path / "none.toml"))
    assert (done.returncode, done.stderr) == (2, f"edged: {tmp_path}/none.toml: cannot be read: No such file or directory\n")


def test_a_plugin_that_cannot_live_with_its_settings_ends_the_start(site):
    done = command("run", "--config", site('[[listener]]\naddress = "127.0.0.1:0"\n[sources.files]\npaths = 3\n'))
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if line.startswith("edged control: error: ")]
    assert any("edged.toml:4: sources.files.paths: " in line for line in told)


def test_run_serves_until_it_is_told_to_stop(site):
    path = site(routes="routes: []\n")
    words = [sys.executable, "-m", "edged", "run", "--config", path]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        port = 0
        for line in process.stderr:
            if "listening on" in line:
                port = int(line.split()[3].rpartition(":")[2])
            if "ready in" in line:
                break
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert s.recv(1000).startswith(b"HTTP/1.")
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read().splitlines()[-1] == "edged: stopped"
        assert process.wait(30) == 0
