"""Warnings before certificates expire, once at each mark."""

import datetime
import logging

import pytest

from edged.control.certificates import Picture
from edged.control.expiry import Expiry, expires_s
from edged.hooks import Certificate, Origin
from tests.control.given import play
from tests.scenarios.harness.authority import Authority

DAY_S = 86400.0
NOW_S = datetime.datetime.now(datetime.UTC).timestamp()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("expiry")


def certificate(authority: Authority, name: str, days: int) -> Certificate:
    return Certificate.of((authority.issue(name, days=days).der,), b"key", origin=Origin(f"{name}.pem"))


class Clock:
    """An Expiry whose time and picture are given."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now_s = NOW_S
        self.picture = Picture()
        self.expiry = Expiry(lambda: self.picture, lambda: self.now_s)
        self._caplog = caplog

    def tells(self, day: float) -> list[str]:
        """The lines of a look on that day."""
        self.now_s = NOW_S + day * DAY_S + 1800  # certificates of this run are made within half an hour
        self._caplog.clear()
        play(self.expiry.look)
        assert all(record.levelno == logging.WARNING for record in self._caplog.records)
        return [record.getMessage().partition(", at")[0] for record in self._caplog.records]


def test_each_mark_is_told_once(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(caplog)
    clock.picture = Picture(1, {"a.test": certificate(authority, "a", 40)})
    assert [clock.tells(day) for day in (0, 9)] == [[], []]
    assert clock.tells(11) == ["the certificate of a.test (a.pem) expires within 29 days"]
    assert [clock.tells(day) for day in (12, 32)] == [[], []]
    assert clock.tells(34) == ["the certificate of a.test (a.pem) expires within 6 days"]
    assert clock.tells(38.5) == []
    assert clock.tells(39.5) == ["the certificate of a.test (a.pem) expires within a day"]
    assert clock.tells(39.9) == []
    assert clock.tells(40.5) == ["the certificate of a.test (a.pem) has expired"]
    assert clock.tells(60) == []


def test_one_that_comes_late_is_told_at_its_nearest_mark(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(caplog)
    clock.picture = Picture(1, {}, default=certificate(authority, "d", 3))
    assert clock.tells(0) == ["the default certificate (d.pem) expires within 3 days"]
    assert clock.tells(1) == []


def test_a_certificate_of_many_names_is_told_once_and_a_new_one_anew(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(caplog)
    shared = certificate(authority, "shared", 5)
    clock.picture = Picture(1, {"a.test": shared, "b.test": shared}, default=shared)
    assert clock.tells(0) == ["the certificate of a.test (shared.pem) expires within 5 days"]
    clock.picture = Picture(2, {"a.test": certificate(authority, "shared", 6), "b.test": shared})
    assert clock.tells(0) == ["the certificate of a.test (shared.pem) expires within 6 days"]


def test_of_very_many_only_some_are_named(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(caplog)
    clock.picture = Picture(1, {f"{n}.test": certificate(authority, f"n{n}", 2) for n in range(25)})
    lines = clock.tells(0)
    assert len(lines) == 21
    assert lines[-1] == "5 more certificates expire soon, or have; `edged certs` names all"
    assert clock.tells(0) == []


def test_what_is_shown_no_more_is_forgotten(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(caplog)
    one = Picture(1, {"a.test": certificate(authority, "a", 5)})
    clock.picture = one
    assert len(clock.tells(0)) == 1
    clock.picture = Picture(2)
    assert clock.tells(0) == []
    clock.picture = one
    assert len(clock.tells(0)) == 1


def test_when_a_certificate_expires(authority: Authority) -> None:
    assert expires_s(certificate(authority, "a", 10)) == pytest.approx(NOW_S + 10 * DAY_S, abs=DAY_S / 24)
