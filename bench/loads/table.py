"""How results are shown."""

import statistics

from .scenarios import Figures, Scenario


def ratios(subject: Figures, peer: Figures) -> list[float]:
    """Round by round, as far as the peer took part: what ran one after the other met the same machine."""
    return [a / b if b else 0.0 for a, b in zip(subject.values, peer.values, strict=False)]


def ratio_of(subject: Figures, peer: Figures) -> float:
    """Of the medians."""
    return subject.median / peer.median if peer.median else 0.0


def spread(values: list[float]) -> str:
    return f"{number(min(values))} – {number(max(values))}" if len(values) > 1 else ""


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def details(scenario: Scenario, figures: dict[str, Figures]) -> list[str]:
    """One line for each proxy: its figure, and what else was seen."""
    speed = any(one.samples for one in figures.values())
    lines = [f"  {'':14}{scenario.unit:>12}  {'min – max':23}"]
    if speed:
        lines[0] += f"{'req/s':>9}{'p50 us':>9}{'p99 us':>9}{'p99.9 us':>10}{'user us':>9}{'proxy CPU':>11}{'load core':>11}{'errors':>8}"
    for label, one in figures.items():
        line = f"  {label:14}{number(one.median) if one.values else '–':>12}  {spread(one.values):23}"
        if one.samples:
            names = ("per_s", "p50_us", "p99_us", "p999_us", "user_us", "load_core")
            middle = {name: statistics.median(getattr(s, name) for s in one.samples) for name in names}
            cpu = statistics.median(s.proxy_cpu_s / s.seconds for s in one.samples)
            line += f"{middle['per_s']:>9,.0f}{middle['p50_us']:>9,.0f}{middle['p99_us']:>9,.0f}{middle['p999_us']:>10,.0f}"
            line += f"{middle['user_us']:>9.2f}{cpu:>11.0%}{middle['load_core']:>11.0%}"
        lines.append(line + (f"{one.errors:>8}" if speed else f"  errors {one.errors}"))
    return lines


def verdict(scenario: Scenario, ratio: float) -> str:
    """The word in the last column."""
    if scenario.reached(ratio, scenario.aim):
        return "aim reached"
    return "ok" if scenario.reached(ratio, scenario.at_least) else "MISSED"


def summary(results: list[tuple[Scenario, dict[str, Figures]]], subject: str, peers: list[str]) -> list[str]:
    """The ratio table: the subject beside each peer; judged beside the first."""
    head = f"{'scenario':62}" + "".join(f"{f'{subject}/{peer}':>17}{'min – max':>15}" for peer in peers)
    lines = [head + f"{'at least':>10}{'aim':>7}  "]
    for scenario, figures in results:
        line = f"{scenario.title:62}"
        for peer in peers:
            rounds = ratios(figures[subject], figures[peer])
            line += f"{ratio_of(figures[subject], figures[peer]):>17.2f}{spread(rounds):>15}" if rounds else f"{'–':>17}{'':15}"
        sign = "≤ " if scenario.lower_is_better else ""
        line += f"{sign + str(scenario.at_least):>10}{sign + str(scenario.aim):>7}  "
        lines.append(line + verdict(scenario, ratio_of(figures[subject], figures[peers[0]])))
    return lines
