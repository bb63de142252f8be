"""Ratios and their judgement."""

from bench.loads.run import judge
from bench.loads.scenarios import SCENARIOS, Figures, Scenario
from bench.loads.table import ratio_of, ratios, summary, verdict

FAST = Scenario("fast", "requests", "req/CPU-s", at_least=1.5, aim=1.8)
SMALL = Scenario("small", "memory", "MiB", at_least=0.5, aim=0.25, lower_is_better=True)


def test_the_ratio_is_of_medians_and_its_spread_of_rounds() -> None:
    subject, peer = Figures([30.0, 10.0, 20.0]), Figures([10.0, 10.0, 5.0])
    assert ratio_of(subject, peer) == 2.0
    assert ratios(subject, peer) == [3.0, 1.0, 4.0]


def test_a_peer_that_took_part_in_some_rounds_is_compared_in_those() -> None:
    assert ratios(Figures([30.0, 10.0, 20.0]), Figures([10.0, 5.0])) == [3.0, 2.0]


def test_a_peer_that_cannot_take_part_is_not_judged_by() -> None:
    line = summary([(SMALL, {"edged": Figures([1.0]), "haproxy": Figures([4.0]), "nginx": Figures()})], "edged", ["haproxy", "nginx"])[1]
    assert line.split() == ["memory", "0.25", "–", "≤", "0.5", "≤", "0.25", "aim", "reached"]


def test_a_verdict_knows_which_way_is_better() -> None:
    assert [verdict(FAST, ratio) for ratio in (1.8, 1.79, 1.5, 1.49)] == ["aim reached", "ok", "ok", "MISSED"]
    assert [verdict(SMALL, ratio) for ratio in (0.25, 0.26, 0.5, 0.51)] == ["aim reached", "ok", "ok", "MISSED"]


def test_a_miss_or_a_failed_request_fails_the_run() -> None:
    peer = Figures([1.0])
    assert judge([(FAST, {"edged": Figures([1.6]), "haproxy": peer})], "edged", "haproxy") == 0
    assert judge([(FAST, {"edged": Figures([1.4]), "haproxy": peer})], "edged", "haproxy") == 1
    assert judge([(FAST, {"edged": Figures([1.6], errors=1), "haproxy": peer})], "edged", "haproxy") == 1


def test_the_summary_names_every_scenario_and_what_it_must_reach() -> None:
    results = [(s, {"edged": Figures([2.0]), "haproxy": Figures([1.0])}) for s in SCENARIOS]
    lines = summary(results, "edged", ["haproxy"])
    assert len(lines) == 1 + len(SCENARIOS)
    for line, scenario in zip(lines[1:], SCENARIOS, strict=True):
        assert line.startswith(scenario.title)
        assert str(scenario.at_least) in line
        assert line.endswith(verdict(scenario, 2.0))
