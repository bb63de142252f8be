"""How the results of the hand-off load are shown: one column for each daemon."""

import statistics
from collections.abc import Callable

from .load import Counts
from .play import Result
from .watch import Stand

__all__ = ["lines"]

WIDTH = 57
COLUMN = 36

Cell = Callable[[Result], str]

TITLES = {
    "new connections": "new connections, HTTP",
    "new connections tls": "new connections, HTTPS",
    "kept alive": "requests on kept connections, HTTP",
    "kept alive tls": "requests on kept connections, HTTPS",
    "uploads": "slow uploads, HTTP",
    "uploads tls": "slow uploads, HTTPS",
    "downloads": "slow downloads, HTTP",
    "downloads tls": "slow downloads, HTTPS",
    "websockets": "WebSockets, HTTP",
    "websockets tls": "WebSockets, HTTPS (brief, as they stay in their process)",
    "tcp": "TCP tunnels",
    "passthrough": "tunnels of TLS that is passed through",
}


def lines(results: list[Result]) -> list[str]:
    rows: list[tuple[str, Cell]] = [
        ("", lambda r: r.version),
        ("reloads, until the new processes serve", lambda r: times(r.reload_ms)),
        ("upgrades", lambda r: times(r.upgrade_ms)),
        *((title, counted(kind)) for kind, title in TITLES.items()),
        *((kind, counted(kind)) for kind in others(results)),
        ("exchanges of old processes", lambda r: r.ends or "–"),
        ("kept connections that closed as a request came", lambda r: f"{sum(one.stale for one in r.counts.values()):,} (asked again)"),
        ("TLS sessions that were not resumed", lambda r: f"{sum(one.anew for one in r.counts.values()):,}"),
        ("longest wait for an answer", lambda r: longest(r, ("new connections", "new connections tls", "kept alive", "kept alive tls"))),
        ("longest silence of a tunnel", lambda r: longest(r, ("websockets", "websockets tls", "tcp", "passthrough"))),
        ("its counter of requests", lambda r: f"{r.requests:,}; went back {r.went_back} times"),
        ("answers that it is ready", readiness),
        ("processes", stands(lambda s: f"{s.processes}", lambda r: f"; at most {r.processes_most}")),
        ("of these, old ones at the end", lambda r: f"{r.stands[-1].processes - r.settled_processes}" if r.stands else "–"),
        ("descriptors, but TCP connections", stands(lambda s: f"{s.descriptors}")),
        ("memory (PSS), MiB", stands(lambda s: f"{s.kib / 1024:.1f}", lambda r: f"; at most {r.kib_most / 1024:.1f}")),
        ("of these, the parent's", stands(lambda s: f"{s.parent_kib / 1024:.1f}")),
        ("load core", lambda r: f"{r.load_core:.0%} over {r.seconds:.0f} s"),
        ("lost", lambda r: f"{r.lost:,}"),
    ]
    shown = [f"{title:{WIDTH}}" + "".join(f"  {cell(r):{COLUMN}}" for r in results).rstrip() for title, cell in rows]
    for r in results:
        shown += [f"{r.version}: {text}" for text in (r.told, *r.grown, *filter(None, [r.failure]))]
        shown += [f"{r.version}: {kind}: {text}" for kind, one in r.counts.items() for text in dict.fromkeys(one.examples)]
    return shown


def others(results: list[Result]) -> list[str]:
    """Kinds that have no title: what servers saw go wrong."""
    return sorted({kind for r in results for kind in r.counts} - set(TITLES))


def counted(kind: str) -> Cell:
    def cell(result: Result) -> str:
        one = result.counts.get(kind, Counts(0, {}))
        lost = ", ".join(f"{count:,} {name}" for name, count in one.faults.items())
        return f"{one.done:,}" + (f"; LOST {lost}" if lost else "")

    return cell


def stands(one: Callable[[Stand], str], more: Cell = lambda _: "") -> Cell:
    """After the tenth reload, and after the last."""
    return lambda r: " → ".join(map(one, r.stands)) + more(r) if r.stands else "–"


def readiness(result: Result) -> str:
    return f"{result.ready:,}; {len(result.not_ready)} others; at most {result.readiness_ms:,.0f} ms" if result.ready else "–"


def longest(result: Result, kinds: tuple[str, ...]) -> str:
    return f"{max((result.counts[kind].longest_ms for kind in kinds if kind in result.counts), default=0):,.0f} ms"


def times(ms: list[float]) -> str:
    return f"{len(ms)}; {statistics.median(ms):,.0f} ms, at most {max(ms):,.0f}" if ms else "0"
