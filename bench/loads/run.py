"""edged beside HAProxy and nginx: `python -m bench.loads.run`. Status 1 when an "at least" is missed or a request failed."""

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import machine, proxies, table
from .machine import Cores, CpuGroup
from .measure import CAP_PERCENT, Bench
from .scenarios import SCENARIOS, Arena, Figures, Scenario, play
from .setups import ProxyError

Results = list[tuple[Scenario, dict[str, Figures]]]


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.loads.run", description=__doc__)
    parser.add_argument("--subject", default="edged", help="who is judged (default: edged)")
    parser.add_argument("--peers", default="haproxy,nginx", help="beside whom; the first decides; haproxy@2: another instance")
    parser.add_argument("--only", action="append", choices=[s.name for s in SCENARIOS], help="only this scenario; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5, help="length of each measured window")
    parser.add_argument("--json", type=Path, help="also write everything measured into this file")
    return parser.parse_args(words)


@contextlib.contextmanager
def favoured() -> Iterator[CpuGroup | None]:
    """The group of the proxies; None where none can be made."""
    group = CpuGroup.make()
    try:
        yield group
    finally:
        if group:
            group.remove()


def introduce(labels: list[str], cores: Cores, braked: bool, congestion: str) -> None:
    print(", ".join(proxies.version(label.partition("@")[0]) for label in labels))
    cap = f"proxies have {CAP_PERCENT} % of it" if braked else "no cap (no right to real-time priority): mind the load core"
    print(f"{cores}; {cap}; congestion control {congestion}")


def compare(options: argparse.Namespace, labels: list[str], chosen: list[Scenario]) -> Results:
    """All chosen scenarios, shown as they end."""
    results: Results = []
    cores = Cores.choose()
    machine.allow_descriptors()
    with (
        machine.alone(),
        tempfile.TemporaryDirectory(prefix="edged-bench-") as folder,
        machine.congestion_control("cubic") as congestion,
        favoured() as group,
        Bench(cores, Path(folder)) as bench,
        contextlib.closing(Arena(bench, labels, Path(folder), cores, group)) as arena,
    ):
        introduce(labels, cores, bench.can_brake, congestion)
        for scenario in chosen:
            print(f"\n{scenario.name}: {scenario.title}", flush=True)
            figures = play(scenario, arena, options.rounds, options.seconds, print)
            print("\n".join(table.details(scenario, figures)), flush=True)
            results.append((scenario, figures))
    return results


def judge(results: Results, subject: str, peer: str) -> int:
    """The exit status."""
    missed = [s.name for s, f in results if not s.reached(table.ratio_of(f[subject], f[peer]), s.at_least)]
    failed = [s.name for s, f in results if f[subject].errors]
    if missed:
        print(f"\nmissed: {', '.join(missed)}")
    if failed:
        print(f"\n{subject} failed requests in: {', '.join(failed)}")
    return 1 if missed or failed else 0


def main(words: list[str]) -> int:
    options = arguments(words)
    peers: list[str] = options.peers.split(",")
    labels = [options.subject, *peers]
    chosen = [s for s in SCENARIOS if not options.only or s.name in options.only]
    began = time.monotonic()
    try:
        results = compare(options, labels, chosen)
    except (ProxyError, OSError) as why:
        print(f"cannot compare: {why}", file=sys.stderr)
        return 2
    print("\n" + "\n".join(table.summary(results, options.subject, peers)))
    print(f"\n{time.monotonic() - began:.0f} s")
    if options.json:
        rows = [{"scenario": dataclasses.asdict(s), "figures": {k: dataclasses.asdict(v) for k, v in f.items()}} for s, f in results]
        options.json.write_text(json.dumps(rows, indent=1))
    return judge(results, options.subject, peers[0])


def run_as_program(main_: Callable[[list[str]], int]) -> NoReturn:
    """Signals end it as they end a shell's commands, but what it started is ended before."""
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.exit(main_(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    run_as_program(main)
