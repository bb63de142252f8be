"""Builds the plugin packages beside this file as wheels, and installs them into folders of their own; no network is needed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("list", "raises", "blocks", "floods")


def installed(into: Path, *names: str) -> Path:
    """A folder with these plugins, to be put on the path."""
    sources = []
    for name in names:
        shutil.copytree(HERE / name, into / "src" / name)        # a build leaves traces where it is done
        sources.append(str(into / "src" / name))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    offline = ["--no-build-isolation", "--no-index", "--no-deps", "--quiet"]
    _run([*pip, "wheel", *offline, "--wheel-dir", str(into / "wheels"), *sources])
    wheels = sorted(str(wheel) for wheel in (into / "wheels").glob("*.whl"))
    _run([*pip, "install", *offline, "--target", str(into / "site"), *wheels])
    return into / "site"


def environment(site: Path) -> Mapping[str, str]:
    """Of a process that has the plugins in this folder, besides all that this one has."""
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{before}" if before else str(site)}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
