"""Settings that another interpreter reads."""

import msgpack
import pytest
import trio

from edged.anew import settings_told
from edged.settings import Settings
from edged.settings.load import load
from edged.supervisor import anew

GOOD = '[[listener]]\naddress = "127.0.0.1:0"\n[worker]\ncount = 3\n'


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "edged.toml"

    def go(text):
        path.write_text(text)
        return trio.run(anew.read_anew, str(path))

    go.path = path
    return go


def test_they_are_those_that_this_one_would_read(read):
    got = read(GOOD)
    assert isinstance(got, Settings)
    assert got == load(str(read.path))


def test_every_problem_comes_with_its_line(read):
    first, second = read(GOOD + 'cuont = 1\n[run]\ndrain_timeout = "soon"\n')
    assert first.startswith(f"{read.path}:5: worker.cuont: ")
    assert second.startswith(f"{read.path}:7: run.drain_timeout: ")


def test_a_file_that_is_gone(read, tmp_path):
    (problem,) = trio.run(anew.read_anew, str(tmp_path / "none.toml"))
    assert "none.toml: cannot be read" in problem


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/bin/sh", "-c", "echo No module named edged >&2; exit 3"], "left with status 3: No module named edged"),
        (["/bin/sh", "-c", "echo nonsense"], "is not understood"),
        (["/does/not/exist"], "no process can be started"),
    ],
)
def test_code_that_does_not_run_is_a_problem_too(monkeypatch, words, told):
    monkeypatch.setattr(anew, "command", lambda path: words)
    (problem,) = trio.run(anew.read_anew, "edged.toml")
    assert problem.startswith("edged.toml: ")
    assert told in problem


def test_it_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(anew, "command", lambda path: ["/bin/sleep", "600"])
    monkeypatch.setattr(anew, "READ_MOST_S", 0.05)
    assert trio.run(anew.read_anew, "edged.toml") == ("edged.toml: it cannot be read within 0.05 s",)


@pytest.mark.parametrize("told", [b"", b"\xff", msgpack.packb([1]), msgpack.packb({}), msgpack.packb({"settings": {}})])
def test_what_is_no_answer(told):
    with pytest.raises(ValueError, match=r"\w"):
        settings_told(told)
