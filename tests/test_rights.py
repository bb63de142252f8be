"""Capabilities, given up by real processes, as the kernel shows them. As root all of it is tried, as anybody else what there is."""

import os
import subprocess
import sys

import pytest

from edged.rights import KEPT_BY_SUPERVISOR, Capability

ROOT = os.geteuid() == 0
NONE = "0" * 16
KEPT = f"{sum(1 << capability for capability in KEPT_BY_SUPERVISOR):016x}"

SHOW = "print(open('/proc/self/status').read())"


def after(script):
    """/proc/self/status of a process that has run a script, as a map."""
    whole = f"import os, sys\nfrom edged.prctl import prctl\nfrom edged.rights import *\n{script}"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)


def held(status):
    return [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")]


def exec_again(script=SHOW):
    return f"os.execv(sys.executable, [sys.executable, '-c', {script!r}])"


def test_who_gives_up_all_has_nothing_and_gains_nothing():
    status = after(f"give_up_all()\n{SHOW}")
    assert held(status) == [NONE] * 4
    assert status["NoNewPrivs"] == "1"
    assert status["CapBnd"] == NONE or not ROOT
    assert held(after(f"give_up_all()\n{exec_again()}")) == [NONE] * 4 or status["CapBnd"] != NONE


def test_twice_is_as_good_as_once():
    assert held(after(f"give_up_all()\ngive_up_all()\n{SHOW}")) == [NONE] * 4


def may():
    """What this process could keep."""
    permitted = int(after(SHOW)["CapPrm"], 16)
    return f"{permitted & int(KEPT, 16):016x}"


def test_the_supervisor_keeps_what_it_needs_and_nothing_else():
    status = after(f"keep_only(KEPT_BY_SUPERVISOR)\n{SHOW}")
    assert held(status)[:3] == [may()] * 3
    assert status["NoNewPrivs"] == "1"
    assert status["CapBnd"] == NONE or not ROOT


def test_it_keeps_that_in_a_program_that_it_becomes():
    assert held(after(f"keep_only(KEPT_BY_SUPERVISOR)\n{exec_again()}"))[:3] == [may()] * 3


@pytest.mark.parametrize("then", [SHOW, "import os; print(open('/proc/self/status').read())"])
def test_whoever_it_starts_gives_up_the_rest(then):
    child = f"from edged.rights import give_up_all; give_up_all(); {then}"
    assert held(after(f"keep_only(KEPT_BY_SUPERVISOR)\n{exec_again(child)}")) == [NONE] * 4


ANOTHER = """
import ctypes
os.setgroups([])
os.setgid(65534)
prctl(8, 1)                                      # PR_SET_KEEPCAPS: as a service manager does that leaves one right to another user
os.setuid(65534)
keep_only([Capability.NET_BIND_SERVICE])
"""


def test_another_user_keeps_its_one_right_over_an_exec_and_children_do_not():
    """Root can make such a process; anybody else is one without that right already."""
    become = ANOTHER if ROOT else "keep_only([Capability.NET_BIND_SERVICE])"
    one = f"{(1 << Capability.NET_BIND_SERVICE) & int(after(SHOW)['CapPrm'], 16):016x}"
    status = after(f"{become}\nprint(os.getuid())\n{SHOW}")
    assert held(status) == [one] * 4
    again = "print(open('/proc/self/status').read())"
    assert held(after(f"{become}\nos.execv('/bin/cat', ['cat', '/proc/self/status'])\n{again}")) == [one] * 4
    assert held(after(f"{become}\ngive_up_all()\n{SHOW}")) == [NONE] * 4


def test_what_the_kernel_refuses_is_an_error():
    from edged.prctl import prctl

    with pytest.raises(OSError, match="prctl 47: Invalid argument"):
        prctl(47, 99)
