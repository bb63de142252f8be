"""edged(8) tells what the code does."""

import argparse
import importlib.util
import re
from pathlib import Path

import pytest

from edged.commands import parser
from edged.ctl import check
from edged.ctl.client import Exit
from edged.ctl.verbs import VERBS
from edged.supervisor.process import HEEDED

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("man", ROOT / "docs/man.py")
man = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(man)
TEXT = man.SOURCE.read_text()


def section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M)[1]


def entries(text):
    return dict(re.findall(r"^(\S.*)\n: ((?:.+\n?)+)", text, re.M))


def test_every_command_is_told():
    [commands] = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert [re.match(r"`(\w+)`", head)[1] for head in entries(section("COMMANDS"))] == [*list(commands.choices)[:4], "demo", "ctl"]
    assert sorted(commands.choices) == sorted(["run", "check", "explain", "certs", "demo", "ctl"])


def test_every_order_is_told_with_its_arguments():
    told = [head.replace("`", "") for head in entries(section("ORDERS"))]
    asked, orders = [[head for head in told if head.startswith("edged ctl check ") is is_check] for is_check in (True, False)]
    words = [re.sub(r" (\[|debug|GROUP).*", "", head).removeprefix("edged ctl ") for head in orders]
    assert words == [verb.words for verb in VERBS.values()]
    for head, verb in zip(orders, VERBS.values(), strict=True):
        for argument in verb.arguments:
            if argument.choices:
                assert " | ".join(argument.choices) in head
            elif argument.in_order:
                assert argument.name.upper() in head.replace("*", "")
            else:
                assert f"--{argument.name.removesuffix('_ms')}" in head
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    options = {action.option_strings[0] for action in parser._actions}
    assert options - {"-h", "--runtime-dir", "--config", "--json"} == set(re.findall(r"(?<=[\[ ])--?[a-z]+", asked[0]))


def test_every_signal_is_told():
    assert sorted(entries(section("SIGNALS"))) == sorted(number.name for number in HEEDED)


def test_every_status_of_ctl_is_told():
    of_run, of_ctl = section("EXIT STATUS").split("Of `edged ctl`")
    assert sorted(map(int, entries(of_ctl))) == sorted(Exit)
    assert sorted(map(int, entries(of_run))) == [0, 1, 2]


def test_the_page_can_be_set():
    page = man.page(TEXT)
    assert page.startswith('.TH EDGED 8 "" edged "an edge reverse proxy"\n.SH NAME\n.PP\nedged \\- an edge')
    assert ".TP\nSIGUSR1\nOpen log files anew, after rotation.\n" in page
    assert "\\fBedged ctl stop\\fR [\\fB\\-\\-now\\fR]" in page
    assert "`" not in page
    known = (".TH", ".SH", ".PP", ".TP", ".EX", ".EE")
    assert not [line for line in page.splitlines() if line.startswith((".", "'")) and line[:3] not in known]
    assert ".EX\n    vrrp_script edged {\n" in page


def test_what_is_not_understood_is_an_error():
    with pytest.raises(ValueError, match="not understood: - a list"):
        man.page("- a list")
