"""What is compared, and what edged must reach in it (ratios to HAProxy)."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import machine
from .certificates import make_crowd
from .machine import Cores, CpuGroup
from .measure import Bench, Load, Sample
from .proxies import Running
from .setups import ProxyError
from .site import INNER, RSA, THROUGH, Site

ROUTES = 10_000
ENDPOINTS = 2                    # each
IDLE = 10_000
CERTIFICATES = 10_000
LIGHT = Load(1)
PROBE_RATE = 5000
GLANCES = 2                      # rounds of peers that decide nothing
MIB = 1 << 20


@dataclass(frozen=True)
class Scenario:
    """`at_least` and `aim` bound the ratio from below; from above where lower is better (memory, latency)."""

    name: str
    title: str
    unit: str
    at_least: float
    aim: float
    load: Load = LIGHT
    routes: int = 1
    lower_is_better: bool = False
    kind: str = "speed"          # speed, latency, idle, routes, certificates

    @property
    def tls(self) -> bool:
        return self.load.service in ("https", "hello")

    def reached(self, ratio: float, bound: float) -> bool:
        return ratio <= bound if self.lower_is_better else ratio >= bound


@dataclass
class Figures:
    """What one proxy showed in one scenario: the figure of each round, and the windows they come from."""

    values: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    errors: int = 0

    @property
    def median(self) -> float:
        """0 for one that cannot take part."""
        return statistics.median(self.values) if self.values else 0.0


SCENARIOS = [
    Scenario("keepalive-64", "HTTP/1.1 kept alive, small, 64 connections", "req/CPU-s", 1.5, 1.8, Load(64)),
    Scenario("keepalive-512", "HTTP/1.1 kept alive, small, 512 connections", "req/CPU-s", 1.5, 1.8, Load(512)),
    Scenario("new-connection", "a new connection for each request", "req/CPU-s", 1.3, 1.5, Load(64, each_new=True)),
    Scenario("http-1m", "1 MiB responses, HTTP", "MiB/CPU-s", 1.1, 1.3, Load(16, path="/1m")),
    Scenario("tcp-small", "TCP, small messages on kept connections", "msg/CPU-s", 1.1, 1.3, Load(64, "tcp", answer_bytes=64)),
    Scenario("tcp-1m", "TCP, 1 MiB", "MiB/CPU-s", 1.1, 1.3, Load(16, "tcp", answer_bytes=MIB)),
    Scenario("tls-keepalive-64", "TLS 1.3 kept alive, small, 64 connections", "req/CPU-s", 1.5, 1.8, Load(64, "https")),
    Scenario("tls-keepalive-512", "TLS 1.3 kept alive, small, 512 connections", "req/CPU-s", 1.5, 1.8, Load(512, "https")),
    Scenario("tls-ecdsa", "TLS full handshakes: ECDSA P-256", "req/CPU-s", 1.4, 1.6, Load(64, "https", each_new=True)),
    Scenario("tls-rsa", "TLS full handshakes: RSA-2048", "req/CPU-s", 1.15, 1.3, Load(64, "https", each_new=True, host=RSA)),
    Scenario("tls-resumed", "TLS handshakes resumed by tickets", "req/CPU-s", 1.3, 1.5, Load(64, "https", each_new=True, resume=True)),
    Scenario("tls-1m", "1 MiB responses, TLS", "MiB/CPU-s", 1.3, 1.6, Load(16, "https", path="/1m")),
    Scenario("reencrypt", "TLS on both sides, kept alive, small, 64 connections", "req/CPU-s", 1.3, 1.5, Load(64, "https", host=INNER)),
    Scenario("through-small", "SNI passthrough, small messages on kept connections", "msg/CPU-s", 1.1, 1.3,
             Load(64, "hello", answer_bytes=64, host=THROUGH)),
    Scenario("through-1m", "SNI passthrough, 1 MiB", "MiB/CPU-s", 1.1, 1.3, Load(16, "hello", answer_bytes=MIB, host=THROUGH)),
    Scenario("routes-speed", "10,000 routes, 100 hosts in use", "req/CPU-s", 1.5, 1.8, Load(64, hosts=100), ROUTES),
    Scenario("latency", "latency at half load", "p99 us", 0.9, 0.6, Load(64), lower_is_better=True, kind="latency"),
    Scenario("idle-memory", "user memory of an idle plain connection (10,000 of them)", "KiB", 0.5, 0.2,
             lower_is_better=True, kind="idle"),
    Scenario("tls-idle-memory", "user memory of an idle TLS connection (10,000 of them)", "KiB", 1.3, 0.9, Load(1, "https"),
             lower_is_better=True, kind="idle"),
    Scenario("tls-silent-memory", "user memory of a TLS client that only connects (10,000 of them)", "KiB", 1.0, 0.5,
             Load(1, "https", silent=True), lower_is_better=True, kind="idle"),
    Scenario("certificates-memory", "memory of each of 10,000 certificates", "KiB", 1.0, 0.5, Load(64, "https"),
             lower_is_better=True, kind="certificates"),
    Scenario("routes-memory", "10,000 routes, 20,000 endpoints: memory over one route", "MiB", 0.5, 0.25, Load(64, hosts=100), ROUTES,
             lower_is_better=True, kind="routes"),
    Scenario("routes-total", "10,000 routes, 20,000 endpoints: memory of all processes", "MiB", 0.5, 0.25, Load(64, hosts=100), ROUTES,
             lower_is_better=True, kind="routes"),
]


class Arena:
    """Starts the proxies of one site at a time and lets them take turns."""

    def __init__(self, bench: Bench, labels: list[str], folder: Path, cores: Cores, group: CpuGroup | None) -> None:
        self.bench = bench
        self.labels = labels
        self.folder = folder
        self.cores = cores
        self.group = group
        self.started = 0
        self.site: Site | None = None
        self.running: list[Running] = []

    def start(self, routes: int, tls: bool = False, crowd: Path | None = None) -> list[Running]:
        """All proxies on a site with so many routes; those that run on it already stay."""
        site = Site(routes, 1 if routes == 1 else ENDPOINTS, self.bench.ports, self.bench.certificates if tls else None, crowd)
        if self.site == site:
            return self.running
        self.close()
        self.started += 1
        for label in self.labels:
            self.running.append(Running(label, self.folder / f"{self.started}-{label}", site, self.cores, self.group))
        self.site = site
        return self.running

    def close(self) -> None:
        """Ends all of them."""
        for running in self.running:
            running.stop()
        self.running = []
        self.site = None

    def turns(self, rounds: int) -> Iterator[Running]:
        """A B C A B C A B A B ...: who decides nothing only takes part at first."""
        for number in range(rounds):
            yield from self.running if number < GLANCES else self.running[:2]


Say = Callable[[str], None]


def play(scenario: Scenario, arena: Arena, rounds: int, seconds: float, say: Say) -> dict[str, Figures]:
    """Runs one scenario; the figures of each proxy by its label."""
    figures = {label: Figures() for label in arena.labels}
    if scenario.kind == "idle":
        play_idle(scenario, arena, say, figures)
    elif scenario.kind == "routes":
        play_routes(scenario, arena, figures)
    elif scenario.kind == "certificates":
        play_certificates(scenario, arena, figures)
    elif scenario.kind == "latency":
        play_latency(scenario, arena, rounds, seconds, say, figures)
    else:
        play_speed(scenario, arena, rounds, seconds, figures)
    return figures


def play_speed(scenario: Scenario, arena: Arena, rounds: int, seconds: float, figures: dict[str, Figures]) -> None:
    arena.start(scenario.routes, scenario.tls)
    for running in arena.turns(rounds):
        note(scenario, figures[running.label], running, arena.bench.capped(running, scenario.load, seconds))


def play_latency(scenario: Scenario, arena: Arena, rounds: int, seconds: float, say: Say, figures: dict[str, Figures]) -> None:
    """Without the brake, which would be seen in every percentile, and ahead of whatever else the machine does, as that would be too."""
    reference = arena.start(scenario.routes)[min(1, len(arena.labels) - 1)]
    probe = arena.bench.window(reference, replace(scenario.load, rate=PROBE_RATE), seconds=2)
    load = replace(scenario.load, rate=probe.per_cpu_s / 2)
    say(f"  {load.rate:,.0f} requests/s: half of what {reference.label} can do when they come one by one; no brake")
    for running in arena.turns(rounds):
        with machine.ahead_of_all(running.pids(), arena.group):
            note(scenario, figures[running.label], running, arena.bench.window(running, load, seconds))


def note(scenario: Scenario, figures: Figures, running: Running, sample: Sample) -> None:
    if not sample.answers:
        raise ProxyError(f"{running.label} answered nothing: {sample.errors}")
    figures.samples.append(sample)
    figures.errors += sample.failed
    figures.values.append(value_of(scenario, sample))


def value_of(scenario: Scenario, sample: Sample) -> float:
    if scenario.kind == "latency":
        return sample.p99_us
    return sample.bytes / (1 << 20) / sample.proxy_cpu_s if scenario.unit.startswith("MiB") else sample.per_cpu_s


def play_idle(scenario: Scenario, arena: Arena, say: Say, figures: dict[str, Figures]) -> None:
    arena.close()                 # fresh processes: what earlier loads left behind would hide the growth
    count = min(IDLE, machine.descriptors() // 2 - 500)      # proxies keep two descriptors for each connection that they take
    if count < IDLE:
        say(f"  descriptors allow {count:,}")
    for running in arena.start(1, scenario.tls):
        value, errors = arena.bench.idle_kib(running, replace(scenario.load, connections=count))
        figures[running.label].values.append(value)
        figures[running.label].errors += sum(errors.values())
    arena.close()


def play_routes(scenario: Scenario, arena: Arena, figures: dict[str, Figures]) -> None:
    base = dict.fromkeys(arena.labels, 0)
    if scenario.name == "routes-memory":
        arena.close()
        base = {running.label: used_kib(arena, running, Load(scenario.load.connections)) for running in arena.start(1)}
    arena.close()
    for running in arena.start(scenario.routes):
        figures[running.label].values.append((used_kib(arena, running, scenario.load) - base[running.label]) / 1024)


def play_certificates(scenario: Scenario, arena: Arena, figures: dict[str, Figures]) -> None:
    """Over what the same proxy takes with two of them."""
    arena.close()
    base = {running.label: used_kib(arena, running, scenario.load) for running in arena.start(1, tls=True)}
    names = [Site.crowd_name(number) for number in range(CERTIFICATES)]
    for running in arena.start(1, tls=True, crowd=make_crowd(arena.folder / "crowd", arena.bench.authority, names)):
        if not running.shows(names[-1]):
            figures[running.label].errors += 1
            continue
        figures[running.label].values.append((used_kib(arena, running, scenario.load) - base[running.label]) / CERTIFICATES)
    arena.close()


def used_kib(arena: Arena, running: Running, load: Load) -> int:
    """Memory after a short while of work."""
    arena.bench.window(running, load, seconds=1, warm_s=0.1)
    return arena.bench.settled_kib(running)
