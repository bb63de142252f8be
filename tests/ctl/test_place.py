"""Where a daemon is looked for: quickly where a settings file is sound, and always where the daemon itself would say."""

import json
import subprocess
import sys

import pytest

from edged.ctl.place import runtime_dir
from edged.errors import StartError
from edged.settings.load import read


@pytest.fixture
def settings(tmp_path):
    def write(text):
        path = tmp_path / "edged.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("text", [
    "", "[run]\n", "[run]\nuser = 'nobody'\n", "[run]\nruntime_dir = '/run/other'\n", "[run]\nruntime_dir = 'run'\n",
    "[run]\nruntime_dir = '../run'\n", "[run]\nruntime_dir = ''\n", "[run]\nruntime_dir = 7\n", '[run]\nruntime_dir = "a\\u0007"\n',
    "run = 3\n", "[[run]]\n", "[worker]\ncount = 'many'\n[run]\nruntime_dir = 'run'\n",
])
def test_it_is_where_the_daemon_has_it(settings, text):
    path = settings(text)
    assert runtime_dir(path) == read(path)[0].run.runtime_dir


def test_a_link_to_the_file_leads_to_the_same_place(settings, tmp_path):
    path = settings("[run]\nruntime_dir = 'run'\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "edged.toml").symlink_to(path)
    assert runtime_dir(str(tmp_path / "etc" / "edged.toml")) == str(tmp_path / "run")


@pytest.mark.parametrize("text", ["[run\n", "a = " + "[" * 5000])
def test_what_is_no_settings_file_is_refused_with_its_line(settings, text):
    path = settings(text)
    with pytest.raises(StartError) as why:
        read(path)
    with pytest.raises(StartError) as same:
        runtime_dir(path)
    assert str(same.value) == str(why.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StartError, match=r"edged\.toml: cannot be read: No such file"):
        runtime_dir(str(tmp_path / "edged.toml"))


def modules(*words):
    """What a command has imported when it ends."""
    tell = "print(json.dumps([*sys.modules]), file=sys.stderr)"
    script = f"import json, sys\nfrom edged.cli import main\ntry:\n    main({list(words)})\nfinally:\n    {tell}"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, check=False)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_whoever_asks_every_second_imports_little(settings, tmp_path):
    imported = modules("ctl", "--config", settings(f"[run]\nruntime_dir = '{tmp_path}/none'\n"), "status")
    assert "edged.ctl.client" in imported
    assert imported.isdisjoint({"trio", "edged.settings", "OpenSSL", "cryptography", "inspect", "logging"})


def test_who_reads_the_settings_for_a_reload_runs_no_loop(settings):
    imported = modules("wing", "settings", settings("[[listener]]\naddress = '127.0.0.1:0'\n"))
    assert "edged.settings.load" in imported
    assert imported.isdisjoint({"trio", "argparse", "edged.ctl.command", "edged.model.route", "OpenSSL", "cryptography"})
