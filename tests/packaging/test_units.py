"""What is packaged for systemd agrees with the daemon: names, paths, signals, times. Where systemd is, it reads the units too."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edged import commands
from edged.rights import KEPT_BY_SUPERVISOR
from edged.settings.keys import keys_of
from edged.settings.load import LISTENERS_MOST
from edged.settings.tables import ListenerTable, RunTable, WorkerTable
from edged.settings.units import address

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "packaging"
EXPOSURE_MOST = 2.0
SINCE = {"notify-reload": 253, "FileDescriptorStorePreserve": 254, "RestartSteps": 254, "RestartMaxDelaySec": 254}
SYSTEMD = shutil.which("systemd-analyze")


def unit(name):
    """Section -> key -> values, in order."""
    sections, current = {}, {}
    for row in (UNITS / name).read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", row):
            current = sections.setdefault(match[1], {})
        elif row and not row.startswith("#"):
            key, _, value = row.partition("=")
            current.setdefault(key, []).append(value)
    return sections


def service(key):
    [value] = unit("edged.service")["Service"][key]
    return value


def seconds(text):
    number, word = re.fullmatch(r"(\d+)(ms|s|min)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "min": 60}[word]


def default(table, name):
    [key] = [key for key in keys_of(table) if key.name == name]
    return key.default


def test_the_command_is_one_of_ours():
    program, *words = shlex.split(service("ExecStart"))
    options = commands.parser().parse_args(words)
    assert Path(program).name == "edged"
    assert options.command is commands._run
    assert options.config == commands.DEFAULT_CONFIG


def test_directories_are_those_of_the_settings():
    assert f"/run/{service('RuntimeDirectory')}" == default(RunTable, "runtime_dir")
    assert f"/var/lib/{service('StateDirectory')}" == default(RunTable, "state_dir")
    assert f"/etc/{service('ConfigurationDirectory')}" == service("WorkingDirectory") == str(Path(commands.DEFAULT_CONFIG).parent)


def test_the_user_is_made_and_owns_what_tmpfiles_make():
    users = [row.split()[1] for row in (UNITS / "edged.sysusers.conf").read_text().splitlines() if row.startswith("u ")]
    assert users == [service("User")] == [service("Group")]
    made = [row.split() for row in (UNITS / "edged.tmpfiles.conf").read_text().splitlines() if row.startswith("d ")]
    assert {path: (mode, owner, group) for _, path, mode, owner, group, _ in made} == {
        default(RunTable, "runtime_dir"): (service("RuntimeDirectoryMode"), "edged", "edged"),
        default(RunTable, "state_dir"): (service("StateDirectoryMode"), "edged", "edged"),
        service("WorkingDirectory"): ("0750", "root", "edged"),
    }


def test_signals_are_those_that_the_supervisor_heeds():
    """notify-reload sends SIGHUP, a stop SIGTERM, if the unit does not say otherwise."""
    heeded = re.findall(r"number == signal\.(\w+)|in \(signal\.(\w+)", (ROOT / "edged/supervisor/process.py").read_text())
    sent = [unit("edged.service")["Service"].get(key, [word])[0] for key, word in (("ReloadSignal", "SIGHUP"), ("KillSignal", "SIGTERM"))]
    assert {name for names in heeded for name in names} >= set(sent)
    assert service("Type") == "notify-reload"
    assert service("KillMode") == "mixed"        # the supervisor alone is told; what is left after it is killed


def test_an_older_systemd_is_told_the_same_in_its_own_words():
    old = unit("edged-before-systemd-254.conf")["Service"]
    assert old["Type"] == ["notify"]
    program, *words = shlex.split(old["ExecReload"][0])
    assert program == shlex.split(service("ExecStart"))[0]
    assert commands.parser().parse_args(words).verb.name == "reload"
    assert old["Environment"] == [f"FDSTORE={service('FileDescriptorStoreMax')}"]


def test_every_socket_fits_in_the_store():
    [workers] = [key for key in keys_of(WorkerTable) if key.name == "count"]
    assert workers.kind.read(64) == 64
    with pytest.raises(ValueError, match="64"):
        workers.kind.read(65)
    assert int(service("FileDescriptorStoreMax")) >= LISTENERS_MOST * 64
    assert service("FileDescriptorStorePreserve") == "restart"


def test_it_is_given_the_time_that_it_takes():
    ends_s = (default(RunTable, "drain_delay") + default(RunTable, "drain_timeout")) / 1000
    assert seconds(service("TimeoutStopSec")) > ends_s + 10
    assert seconds(service("WatchdogSec")) >= 4  # an engine without work takes a turn a second; half of the time is for the answer


def test_wrong_settings_are_not_tried_again():
    assert service("Restart") == "on-failure"
    assert service("RestartPreventExitStatus") == "2"


def test_its_rights_are_the_one_that_another_user_needs():
    assert service("CapabilityBoundingSet") == service("AmbientCapabilities") == "CAP_NET_BIND_SERVICE"
    assert "CAP_NET_BIND_SERVICE".removeprefix("CAP_") in {capability.name for capability in KEPT_BY_SUPERVISOR}


def test_the_socket_is_one_that_a_listener_can_take():
    sock = unit("edged.socket")["Socket"]
    [name] = [key for key in keys_of(ListenerTable) if key.name == "name"]
    assert name.kind.read(sock["FileDescriptorName"][0])
    assert all(address(where).port for where in sock["ListenStream"])
    assert sock["Service"] == ["edged.service"]


def test_every_directive_is_written_once():
    for path in UNITS.glob("edged.s*"):
        for section, keys in unit(path.name).items():
            several = [key for key, values in keys.items() if len(values) > 1]
            assert (section, set(several) - {"SystemCallFilter", "ListenStream"}) == (section, set())


# As systemd reads them, where it is: what it says of directives that are younger than itself, or of what is not installed here, is no
# fault.

def analyze(*words):
    return subprocess.run([SYSTEMD, *words], capture_output=True, text=True, check=False)


def version():
    return int(re.match(r"systemd (\d+)", analyze("--version").stdout)[1])


def is_a_fault(line):
    if any(word in line and version() < since for word, since in SINCE.items()):
        return False
    return not re.search(r"is not executable: No such file|Command 'man .*' failed", line)


def test_systemd_finds_no_fault():
    for name in ("edged.service", "edged.socket") if SYSTEMD else ():
        told = analyze("verify", str(UNITS / name)).stderr
        assert [line for line in told.splitlines() if "edged" in line and is_a_fault(line)] == []


def test_little_is_exposed():
    if SYSTEMD:
        told = analyze("security", "--offline=yes", "--no-pager", str(UNITS / "edged.service")).stdout
        assert float(re.search(r"Overall exposure level for edged.service: ([\d.]+)", told)[1]) < EXPOSURE_MOST
