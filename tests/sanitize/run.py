"""A million requests through an engine that was built with the address and undefined-behaviour sanitizers (make sanitize).

The unit tests of the compiled rooms come first. Then come two rounds, with HTTP lines and splice, with JSON lines and copying: C-fast
load (kept alive, new connections, a queue, 1 MiB, TCP; TLS with clients, and with endpoints too) and all sorts of odd clients and
endpoints at once, while table, certificates, contexts and ticket keys change every few milliseconds. At the end of each: no report, no
wrong answer, gauges at zero, one table, no descriptor left, and after the engine was freed nothing that it lost, nor OpenSSL on its
behalf (LeakSanitizer). In a last, short round the engine is stopped at work.

  run.py --requests 1000000 --minutes 12
  run.py --memcheck . --without-tests --requests 5000     instead under valgrind's memcheck, with the plain build that lies there

Status 0: no finding. 1: findings, listed at the end; what the sanitizers said lies in build/sanitized/reports/. 2: it cannot run.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from tests.sanitize.clients import Crowd
from tests.sanitize.leaks import leaks_in
from tests.sanitize.site import HTTP, HTTPS, TCP
from tests.sanitize.visiting import Listening
from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.until import until

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests/sanitize"
REPORTS = ROOT / "build/sanitized/reports"
TOOLS = ROOT / "build/bench"

STEP_S = 5.0                                     # between two looks at what was done
LAST_S = 40.0                                    # for the last clients and the last exchange
THREADS = 6
SWAPS_LEAST = 1000
OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=1:leak_check_at_exit=0:malloc_context_size=12",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
SMALL = {"buffer_bytes": 4096, "max_header_bytes": 3072, "max_target_bytes": 1024, "pool_idle": 3}
ROUNDS = [                                       # name, share of the requests, configuration, how it ends
    ("http lines, splice", 0.5, {"log_format": "http", "splice": True, "http_reuse": "always"}, "end"),
    ("JSON lines, small buffers, copying", 0.4,
     {"log_format": "json", "splice": False, "http_reuse": "safe", "abort_on_close": False, **SMALL}, "end"),
    ("cut off at work", 0.1, {"log_format": "http", "http_reuse": "aggressive", "dont_log_null": True}, "cut"),
]
LOADS = {
    "kept alive": (HTTP, "--connections 48 --host bulk.test"),
    "new connections": (HTTP, "--connections 8 --host bulk.test --each-new"),
    "queue": (HTTP, "--connections 24 --host queue.test"),
    "1 MiB": (HTTP, "--connections 4 --rate 40 --host bulk.test --path /1m"),
    "TCP": (TCP, "--connections 4 --rate 500 --tcp 300"),
    "TCP, new connections": (TCP, "--connections 4 --tcp 100000 --each-new"),
    "TLS": (HTTPS, "--tls --connections 24 --host bulk.test"),
    "TLS, new connections": (HTTPS, "--tls --connections 4 --host bulk.test --each-new"),
    "TLS, 1 MiB": (HTTPS, "--tls --connections 4 --rate 20 --host bulk.test --path /1m"),
    "TLS on both sides": (HTTPS, "--tls --connections 8 --host bulk-again.test"),
    "TLS on both sides, 1 MiB": (HTTPS, "--tls --connections 4 --rate 20 --host bulk-again.test --path /1m"),
}
REPORT = re.compile(r"runtime error:|ERROR: AddressSanitizer|ERROR SUMMARY: [1-9]")


class CannotRun(Exception):
    """Something that is needed is missing; the text says what."""


def library(name: str) -> str:
    words = ["gcc", f"-print-file-name={name}"]
    found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    if not os.path.isabs(found):
        raise CannotRun(f"{name} is needed: it comes with gcc (Fedora: libasan libubsan)")
    return found


def sanitized() -> dict[str, str]:
    """The environment in which a Python loads the build under the sanitizers."""
    if not list((ROOT / "build/sanitized").glob("edged/_fast/run/engine*.so")):
        raise CannotRun("build/sanitized is not built: make sanitize does that")
    return {
        **os.environ, **OPTIONS, "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}", "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT / "build/sanitized"), "PYTHONSAFEPATH": "1",
    }


def run_tests() -> list[str]:
    env = sanitized()
    env["ASAN_OPTIONS"] += ":detect_leaks=0"
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:faulthandler", str(ROOT / "tests/_fast")]
    done = subprocess.run(words, cwd=ROOT, env=env, check=False)
    return [f"the unit tests of the rooms: status {done.returncode}"] if done.returncode else []


class Host:
    """The process with the engine."""

    def __init__(self, name: str, words: list[str], env: dict[str, str], told: dict[str, Any]) -> None:
        self.errors = REPORTS / f"{name.replace(',', '').replace(' ', '-')}.log"
        with self.errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*words, str(HERE / "host.py"), json.dumps(told)],
                env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )
        self.listening: list[int] = self._hear()["listening"]

    def ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        return dict(json.loads(line))

    def findings(self) -> list[str]:
        """Wait for its end; what it and its sanitizers have to say."""
        try:
            status = self._process.wait(LAST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        said = self.errors.read_text(errors="replace")
        found = [f"the engine's process ended with status {status}: see {self.errors}"] if status else []
        found += sorted({line for line in said.splitlines() if REPORT.search(line)})
        return found

    def leaks(self) -> list[str]:
        return leaks_in(self.errors.read_text(errors="replace"))


class Helpers:
    """The endpoints and the C-fast load."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        shown = authority.issue("endpoint.test", ["endpoint.test"])
        chain, key = shown.write(folder)
        (folder / "bundle").write_text(shown.bundle)
        self._fast = subprocess.Popen(
            [TOOLS / "backend", *["--http", "0.0.0.0:0"] * 4, *["--tcp", "0.0.0.0:0"] * 4, "--certificate", folder / "bundle",
             *["--https", "0.0.0.0:0"] * 4],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self._odd = subprocess.Popen(
            [sys.executable, HERE / "endpoints.py", chain, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._fast.stdout
        assert self._odd.stdout
        ports = [int(port) for port in self._fast.stdout.readline().split()]
        odd = json.loads(self._odd.stdout.readline())
        self.ports: dict[str, list[int]] = {"bulk": ports[:4], "tcp": ports[4:8], "bulk tls": ports[8:], **odd}

    def stop(self) -> None:
        """End the endpoints; it may be said twice."""
        for process in (self._fast, self._odd):
            assert process.stdin
            process.stdin.close()
            process.wait(LAST_S)

    @contextlib.contextmanager
    def loading(self, listening: list[int], seconds: float) -> Iterator[dict[str, subprocess.Popen[str]]]:
        """All sorts of load at once, for so long; what still runs afterwards is ended."""
        running = {}
        for name, (number, words) in LOADS.items():
            command = [TOOLS / "loadgen", "--connect", f"127.0.0.1:{listening[number]}", "--seconds", str(seconds), "--warm", "0"]
            running[name] = subprocess.Popen([*command, *words.split()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            yield running
        finally:
            for process in running.values():
                process.kill()
                process.communicate()

    def load(self, listening: list[int], seconds: float) -> list[str]:
        """Load for so long; what went wrong with it."""
        found = []
        with self.loading(listening, seconds) as running:
            for name, process in running.items():
                said, _ = process.communicate(timeout=seconds + LAST_S)
                if process.returncode:
                    found.append(f"load, {name}: status {process.returncode}")
                elif errors := {kind: n for kind, n in json.loads(said.splitlines()[-1])["errors"].items() if n}:
                    found.append(f"load, {name}: {errors}")
        return found


class Round:
    """One engine from its start to its end, with all that comes to it."""

    def __init__(self, number: int, words: list[str], env: dict[str, str], requests: int) -> None:
        self.name, share, config, self.ending = ROUNDS[number]
        self._requests = int(requests * share)
        self._began_s = time.monotonic()
        authority = Authority("ours")
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._helpers = Helpers(authority, folder)
        told = {"config": config, "ports": self._helpers.ports, "authority": str(authority.write(folder))}
        self._host = Host(self.name, words, env, told)
        self._crowd = Crowd(Listening.of(self._host.listening, authority, folder), THREADS, number)
        self._facts: dict[str, Any] = {}
        self.findings: list[str] = []

    def run(self, until_s: float, leaks: bool) -> None:
        try:
            while not self._over(until_s):
                self.findings += self._helpers.load(self._host.listening, STEP_S)
                self._facts = self._host.ask("facts")
            self._end()
        except EOFError:
            self._crowd.stop(LAST_S)
        self._helpers.stop()
        self.findings += self._crowd.findings + self._host.findings()
        if leaks and not self.findings:
            self.findings += self._host.leaks() if self._facts.get("leaks_checked") else ["no leak checker was there"]
        self._folder.cleanup()
        self._report()

    def _over(self, until_s: float) -> bool:
        done = self._facts.get("totals", {}).get("requests", 0)
        return done >= self._requests or time.monotonic() > until_s or bool(self.findings or self._crowd.findings)

    def _end(self) -> None:
        if self.ending == "end":                 # all leave, and then nothing may be left
            self._crowd.stop(LAST_S)
            self._helpers.stop()
            self._facts = self._host.ask("end")
        else:                                    # the engine goes first; what becomes of its clients is not their fault
            before = list(self._crowd.findings)
            with self._helpers.loading(self._host.listening, LAST_S):
                until(lambda: self._host.ask("facts")["totals"]["connections"] > 80, LAST_S, "the load is at work")
                self._facts = self._host.ask("cut")
            self._crowd.stop(LAST_S)
            self._crowd.findings = before
        self.findings += self._facts["findings"]

    def _report(self) -> None:
        facts, totals = self._facts, self._facts.get("totals", {})
        done = totals.get("requests", 0)
        if done < self._requests:
            self.findings.append(f"{done:,} requests were made, {self._requests:,} are wanted")
        if facts.get("tables", 0) < SWAPS_LEAST * self._requests // 500_000:
            self.findings.append(f"only {facts.get('tables')} tables were in force")
        if not facts.get("moved"):
            self.findings.append("no tunnel went to the other engine")
        print(f"{self.name}: {done:,} requests on {totals.get('accepted', 0):,} connections, {totals.get('answered_here', 0):,} answered"
              f" here, {totals.get('spliced', 0) >> 20:,} MiB spliced, {facts.get('tables', 0):,} tables, {facts.get('lines', 0):,} access"
              f" lines and {facts.get('dropped', 0):,} dropped, {facts.get('moved', 0):,} tunnels moved,"
              f" {sum(self._crowd.visits.values()):,} odd visits; {time.monotonic() - self._began_s:.0f} s;"
              f" {len(self.findings)} findings", flush=True)


def memcheck(build: Path) -> tuple[list[str], dict[str, str]]:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CannotRun("valgrind is needed")
    suppressions = f"--suppressions={HERE / 'python.supp'}"
    words = [valgrind, "--tool=memcheck", "--error-exitcode=9", "--fair-sched=yes", suppressions, sys.executable]
    return words, {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONPATH": str(build.resolve()), "PYTHONSAFEPATH": "1"}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    options = argparse.ArgumentParser(description="The engine under sanitizers.")
    options.add_argument("--requests", type=int, default=1_000_000, help="in all (%(default)s)")
    options.add_argument("--minutes", type=float, default=12, help="for all requests; fewer in that time are a finding (%(default)s)")
    options.add_argument("--without-tests", action="store_true", help="no unit tests first")
    options.add_argument("--memcheck", type=Path, metavar="BUILD", help="valgrind instead, with the build that lies there")
    chosen = options.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    try:
        words, env = memcheck(chosen.memcheck) if chosen.memcheck else ([sys.executable], sanitized())
        if not chosen.without_tests:
            found += run_tests()
        began_s = time.monotonic()
        for number in range(len(ROUNDS)):
            until_s = began_s + chosen.minutes * 60 * (number + 1) / len(ROUNDS)
            one = Round(number, words, env, chosen.requests)
            one.run(until_s, not chosen.memcheck)
            found += [f"{one.name}: {finding}" for finding in one.findings]
    except CannotRun as why:
        print(why, file=sys.stderr)
        return 2
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
