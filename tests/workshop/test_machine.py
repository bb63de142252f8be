"""Set-up of a machine: what is missing is found, and installed or asked for in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "sed", "grep", "env")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with a usable Python and hardly anything else."""
    for name in TOOLS:
        found = next(Path(folder, name) for folder in ("/bin", "/usr/bin") if Path(folder, name).exists())
        (tmp_path / name).symlink_to(found)
    script(tmp_path / "python3", f'exec {sys.executable} "$@"')
    return tmp_path


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def machine(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / ".ci/machine", *words], env={"PATH": str(path)}, cwd=path, capture_output=True, text=True, check=False)


def test_the_python_found_can_build(bare: Path) -> None:
    found = machine(bare, "python")
    assert found.returncode == 0
    check = "import sys, sysconfig, os; print(sys.version_info >= (3, 11) and os.path.exists(sysconfig.get_path('include') + '/Python.h'))"
    assert subprocess.run([found.stdout.strip(), "-c", check], capture_output=True, text=True, check=True).stdout == "True\n"


@pytest.mark.parametrize(("installer", "line"), [
    ("apt-get", "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev'"),
    ("dnf", "sudo dnf install -y gcc glibc-devel"),
])
def test_without_rights_one_line_is_asked_for(bare: Path, installer: str, line: str) -> None:
    script(bare / "id", "echo 1000")
    script(bare / installer, "echo it must not be called >&2; exit 9")
    asked = machine(bare, "build")
    assert asked.returncode == 1
    assert "missing: a C compiler." in asked.stderr
    assert [text.strip() for text in asked.stderr.splitlines() if "sudo" in text] == [line]


@pytest.mark.parametrize(("installer", "words"), [("apt-get", "gcc libc6-dev"), ("dnf", "gcc glibc-devel")])
def test_root_installs_what_is_missing_once(bare: Path, installer: str, words: str) -> None:
    script(bare / "id", "echo 0")
    makes_cc = f'case "$*" in *install*) echo "#!/bin/sh" >{bare}/cc; /bin/chmod +x {bare}/cc ;; esac'
    script(bare / installer, f'echo "$@" >>{bare}/calls\n{makes_cc}')
    assert machine(bare, "build").returncode == 0
    calls = (bare / "calls").read_text().splitlines()
    assert calls[-1].endswith(f" {words}")
    assert machine(bare, "build").returncode == 0
    assert (bare / "calls").read_text().splitlines() == calls


def test_an_installation_that_helps_nothing_is_told(bare: Path) -> None:
    script(bare / "id", "echo 0")
    script(bare / "apt-get", "exit 0")
    tried = machine(bare, "build")
    assert tried.returncode == 1
    assert "still missing after the installation: a C compiler" in tried.stderr


def test_a_machine_that_has_all_is_left_alone(bare: Path) -> None:
    script(bare / "cc", "exit 0")
    script(bare / "apt-get", "exit 9")
    done = machine(bare, "build")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_closing_line_of_pytest_and_the_status_come_through(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_bytes((ROOT / ".ci/run").read_bytes())
    (tmp_path / ".ci/run").chmod(0o755)
    (tmp_path / "Makefile").write_text('test:\n\t@echo "===== 3 failed, 4 passed in 1.23s ====="\n\t@exit 1\n')
    done = subprocess.run([tmp_path / ".ci/run"], capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == "===== 3 failed, 4 passed in 1.23s ====="
