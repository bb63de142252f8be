"""Hostile bytes for the parsers and for the records of TLS, by libFuzzer with the address and undefined-behaviour sanitizers.

Each target compiles the C that Cython makes of one room into a program of its own. No Python runs in it: the parsers need none,
and whatever of the generated C is for Python is thrown away by the linker. The kept corpus is tests/corpus/fuzz/<target>/.

  run.py --seconds 600             every target in turn, ten minutes each
  run.py --seconds 10 request      one of them, shortly
  run.py --keep ...                afterwards add to the kept corpus what reaches something new, each as small as it gets

Status 0: no finding. 1: a finding; its input lies in build/fuzz/<target>/findings/. 2: the target cannot be built.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests/fuzz"
BUILD = ROOT / "build/fuzz"
CORPUS = ROOT / "tests/corpus/fuzz"

ROOMS = {
    "request": "parse.head", "response": "parse.head", "chunked": "parse.chunked", "hello": "parse.hello", "proxyline": "parse.proxyline",
    "records": "run.records",
}
LONGEST = {"request": 2048, "response": 2048, "chunked": 2048, "hello": 4096, "proxyline": 5000, "records": 256}
BESIDE = {"records": ["run.keys"]}               # rooms that it calls, each in a file of its own: TARGET_ROOM.c
LIBRARIES = {"records": ["-lcrypto"]}            # those that a room calls

DIRECTIVES = ["wraparound=False", "cdivision=True", "boundscheck=True"]
FLAGS = [
    "-g", "-O1", "-std=gnu11", "-fno-strict-aliasing", "-fno-omit-frame-pointer", "-w", "-Werror=implicit-function-declaration",
    "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", "-DEDGED_CHECKED=1",
]
# The module's start and all that hangs on it become unused, what still refers to Python resolves to nothing.
WITHOUT_PYTHON = ["-DCYTHON_NO_PYINIT_EXPORT", "-fno-pic", "-no-pie", "-Wl,--unresolved-symbols=ignore-all"]


class BuildError(Exception):
    """A tool is missing or failed; the text says which."""


def call(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def build(target: str) -> Path:
    """The program of a target, newly made when anything it comes from has changed."""
    rooms = [ROOMS[target], *BESIDE.get(target, [])]
    program = BUILD / target / "fuzz"
    sources = [Path(__file__), *HERE.glob("*.[ch]"), *ROOT.glob("edged/_fast/**/*.pxd"),
               *(ROOT / f"edged/_fast/{room.replace('.', '/')}.pyx" for room in rooms)]
    if program.exists() and program.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return program
    clang = os.environ.get("CLANG") or shutil.which("clang")
    if clang is None:
        raise BuildError("clang with libFuzzer is needed (Debian: clang libclang-rt-dev; Fedora: clang compiler-rt); or set CLANG")
    program.parent.mkdir(parents=True, exist_ok=True)
    for room in rooms:
        translate(room)
    beside = [str(HERE / f"{target}_{room.split('.')[1]}.c") for room in rooms[1:]]
    call([clang, *FLAGS, *WITHOUT_PYTHON, f"-I{BUILD}", f"-I{sysconfig.get_path('include')}",
          "-o", str(program), str(HERE / f"{target}.c"), *beside, *LIBRARIES.get(target, [])])
    return program


def translate(room: str) -> None:
    """What Cython makes of it: ROOM_room.c."""
    floor, name = room.split(".")
    directives = [word for directive in DIRECTIVES for word in ("-X", directive)]
    call([sys.executable, "-m", "cython", "-3", *directives, "--module-name", f"edged._fast.{room}", "-I", str(ROOT),
          "-o", str(BUILD / f"{name}_room.c"), f"edged/_fast/{floor}/{name}.pyx"])


def number(name: str, log: str) -> int:
    found = re.findall(rf"{name}:?\s+(\d+)", log)
    return int(found[-1]) if found else 0


def fuzz(target: str, program: Path, seconds: int) -> bool:
    """True if nothing was found."""
    place = program.parent
    for folder in (place / "found", place / "findings", CORPUS / target):
        folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), f"-max_total_time={seconds}", f"-max_len={LONGEST[target]}", "-timeout=5", "-rss_limit_mb=1024",
               "-print_final_stats=1", f"-artifact_prefix={place}/findings/"]
    words = HERE / "words" / f"{ROOMS[target].split('.')[1]}.dict"
    if words.exists():
        command.append(f"-dict={words}")
    done = subprocess.run([*command, str(place / "found"), str(CORPUS / target)], capture_output=True, text=True, errors="replace")
    (place / "log").write_text(done.stderr)
    runs, edges = number("number_of_executed_units", done.stderr), number("cov", done.stderr)
    inputs = len(list((place / "found").iterdir()))
    if done.returncode:
        print(done.stderr[-4000:])
    verdict = f"A FINDING: see {place}/findings" if done.returncode else "no finding"
    print(f"{target:10} {runs:>12,} runs  {edges:>5} edges  {inputs:>5} inputs  {verdict}", flush=True)
    return done.returncode == 0


def keep(target: str, program: Path) -> None:
    """The kept corpus becomes a small set that reaches every edge that is reached now."""
    merged = program.parent / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    call([str(program), "-set_cover_merge=1", "-use_counters=0", f"-max_len={LONGEST[target]}",
          str(merged), str(CORPUS / target), str(program.parent / "found")])
    shutil.rmtree(CORPUS / target)
    shutil.copytree(merged, CORPUS / target)
    print(f"{target:10} {len(list(merged.iterdir()))} inputs kept")


def main() -> int:
    options = argparse.ArgumentParser(description="Fuzz the parsers.")
    options.add_argument("--seconds", type=int, default=60, help="for each target (%(default)s)")
    options.add_argument("--keep", action="store_true", help="add new inputs to the kept corpus")
    options.add_argument("target", nargs="*", choices=[*ROOMS, []], default=[], metavar="target",
                         help=f"of {', '.join(ROOMS)}; all, if none is named")
    chosen = options.parse_args()
    good = True
    for target in chosen.target or ROOMS:
        try:
            program = build(target)
            quiet = fuzz(target, program, chosen.seconds)
            if chosen.keep and quiet:
                keep(target, program)
        except BuildError as why:
            print(f"{target}: {why}", file=sys.stderr)
            return 2
        good &= quiet
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
