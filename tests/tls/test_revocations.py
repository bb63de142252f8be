"""Lists kept up to date: files that change, and distribution points of all sorts. Clocks are the tests' own."""

import logging

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.serialization import Encoding

from edged.tls.download import BadDownload
from edged.tls.revocations import RETRY_S, UNTOLD_S, Revocations
from tests.scenarios.harness.authority import key_of
from tests.tls import lists
from tests.tls.lists import START_S

KEY, OTHER = key_of("ec"), key_of("ec", 1)
URL, URL_2 = "http://crl.example/a", "http://crl.example/b"
DAY = 86400.0


class Points:
    """What is published, by URL: bytes, or what is raised. Notes when it was asked for."""

    def __init__(self, published):
        self.published = published
        self.asked = []

    async def fetch(self, url):
        await trio.lowlevel.checkpoint()
        self.asked.append((round(trio.current_time()), url))
        found = self.published[url]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def bundle(tmp_path):
    """bundle(authority, ...) is the path of a file of these."""
    def write(*authorities):
        path = tmp_path / "ca.pem"
        path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in authorities))
        return str(path)

    return write


def play(listeners, points, *acts):
    """Each act is how many seconds to wait, and what is done or asked then; answers what the acts answered."""
    told, seen = [], []

    async def main():
        kept = Revocations(listeners, points.fetch, lambda: START_S + trio.current_time())
        kept.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.follow, lambda: told.append(round(trio.current_time())))
            for wait_s, act in acts:
                await trio.sleep(wait_s)
                await trio.testing.wait_all_tasks_blocked()
                seen.append(act(kept))
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return seen, told


def known(kept):
    return kept.known


def auth(path):
    return [lists.listener(client_auth="required", client_ca=path)]


def test_lists_are_fetched_and_fetched_again_before_the_next_is_due(bundle):
    path = bundle(lists.authority("a", KEY, URL))
    first, second = lists.crl("a", KEY, 1), lists.crl("a", KEY, 1, 2, made_s=START_S + DAY, next_s=START_S + 2 * DAY)
    points = Points({URL: first})
    (at_once, _, later), told = play(
        auth(path), points, (1, known), (DAY - 1000, lambda kept: points.published.update({URL: second})), (1000, known),
    )
    assert at_once == {f"points:{path}": (first,)}
    assert later == {f"points:{path}": (second,)}
    assert told == [0, DAY - 300]
    assert points.asked == [(0, URL), (DAY - 300, URL)]


def test_a_list_that_is_late_is_asked_for_until_it_comes(bundle):
    path = bundle(lists.authority("a", KEY, URL))
    points = Points({URL: lists.crl("a", KEY)})
    play(auth(path), points, (DAY + 700, known))
    assert [moment for moment, _ in points.asked] == [0, DAY - 300, DAY, DAY + 300, DAY + 600]


def test_short_lives_are_asked_for_early_enough(bundle):
    path = bundle(lists.authority("a", KEY, URL))
    points = Points({URL: lists.crl("a", KEY, next_s=START_S + 100)})
    play(auth(path), points, (95, known))
    assert [moment for moment, _ in points.asked] == [0, 90]


@pytest.mark.parametrize(("published", "why"), [
    (BadDownload("the answer is 404"), "404"), (b"nonsense", "broken"), (lists.crl("b", KEY), "not among the authorities"),
    (lists.crl("a", OTHER), "has not signed it"), (b"", "empty"),
])
def test_what_is_no_good_is_asked_for_again_and_nobody_is_let_in(bundle, caplog, published, why):
    path = bundle(lists.authority("a", KEY, URL))
    points, good = Points({URL: published}), lists.crl("a", KEY)
    (seen, _, then), told = play(
        auth(path), points, (2 * RETRY_S + 1, known), (0, lambda kept: points.published.update({URL: good})), (RETRY_S, known),
    )
    assert seen == {}
    assert then == {f"points:{path}": (good,)}
    assert [moment for moment, _ in points.asked] == [0, RETRY_S, 2 * RETRY_S, 3 * RETRY_S]
    assert told == [3 * RETRY_S]
    assert why in caplog.text
    assert "until then whom it judges is refused" in caplog.text


@pytest.mark.parametrize("worse", [
    lists.crl("a", KEY, made_s=START_S - DAY, next_s=START_S + 9 * DAY), lists.crl("a", OTHER), b"nonsense", BadDownload("gone"),
    lists.crl("a", KEY, made_s=START_S + 1, extensions=[lists.DELTA]),
])
def test_a_worse_list_never_takes_the_place_of_a_good_one(bundle, caplog, worse):
    path = bundle(lists.authority("a", KEY, URL))
    good = lists.crl("a", KEY, 1)
    points = Points({URL: good})
    (_, seen), told = play(auth(path), points, (1, lambda kept: points.published.update({URL: worse})), (DAY - 100, known))
    assert seen == {f"points:{path}": (good,)}
    assert told == [0]
    assert "asked again in 300 s\n" in caplog.text


def test_several_points_are_kept_each_by_itself(bundle):
    path = bundle(lists.authority("a", KEY, URL), lists.authority("b", OTHER, URL_2))
    first, second = lists.crl("a", KEY), lists.crl("b", OTHER)
    points = Points({URL: first, URL_2: BadDownload("gone")})
    (one, _, both), told = play(
        auth(path), points, (1, known), (0, lambda kept: points.published.update({URL_2: second})), (RETRY_S, known),
    )
    assert one == {f"points:{path}": (first,)}
    assert set(both[f"points:{path}"]) == {first, second}
    assert told == [0, RETRY_S]


def test_lists_in_pem_and_a_point_named_twice(bundle):
    path = bundle(lists.authority("a", KEY, URL), lists.authority("b", OTHER, URL))
    both = lists.crl("a", KEY), lists.crl("b", OTHER)
    points = Points({URL: lists.as_pem(*both)})
    (seen,), _ = play([*auth(path), lists.listener(2, client_auth="optional", client_ca=path)], points, (1, known))
    assert seen == {f"points:{path}": both}
    assert points.asked == [(0, URL)]


def test_nothing_is_asked_where_nobody_is_judged(bundle):
    path = bundle(lists.authority("a", KEY, URL))
    points = Points({})
    listeners = [lists.listener(client_auth="none", client_ca=path), lists.listener(2, client_auth="required")]
    assert play(listeners, points, (2 * UNTOLD_S, known)) == ([{}], [])
    assert points.asked == []


@pytest.mark.parametrize("text", [b"", b"nonsense", None])
def test_authorities_that_cannot_be_read(tmp_path, caplog, text):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_bytes(text)
    assert play(auth(str(path)), Points({}), (1, known)) == ([{}], [])
    assert str(path) in caplog.text


# ---- files -----------------------------------------------------------------------------------------------------------


def files(path):
    return [lists.listener(client_auth="required", client_ca="/ca", client_crl=str(path))]


async def until(truth):
    with trio.fail_after(10):
        while not truth():                       # noqa: ASYNC110 - inotify tells another task
            await trio.sleep(0.01)


def test_files_are_watched(tmp_path, caplog):
    path, source = tmp_path / "crl.pem", f"file:{tmp_path}/crl.pem"
    first, second, third = (lists.crl("a", KEY, *range(1, n + 1)) for n in range(3))
    path.write_bytes(lists.as_pem(first))
    told = []

    async def main():
        kept = Revocations(files(path))
        kept.load()
        assert kept.known == {source: (first,)}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.follow, lambda: told.append(kept.known[source]))
            await trio.testing.wait_all_tasks_blocked()
            (tmp_path / "new").write_bytes(second)
            (tmp_path / "new").rename(path)
            await until(lambda: told)
            path.write_bytes(b"nonsense")
            await until(lambda: "its last CRLs stay in force" in caplog.text)
            path.write_bytes(lists.as_pem(first, lists.crl("a", KEY, 1, extensions=[lists.DELTA])))
            await until(lambda: "CRL of CN=a is a delta" in caplog.text)
            path.unlink()
            await until(lambda: "cannot be read" in caplog.text)
            assert kept.known == {source: (second,)}
            path.write_bytes(lists.as_pem(third, first))
            await until(lambda: len(told) == 2)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert told == [(second,), (third, first)]


def test_files_are_looked_at_where_nobody_tells(tmp_path, monkeypatch, caplog):
    path = tmp_path / "crl.pem"
    path.write_bytes(lists.crl("a", KEY))
    told = []

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edged.tls.revocations.Watch.keep", no_room)
    monkeypatch.setattr("edged.tls.revocations._BLIND_S", 0.01)

    async def main():
        kept = Revocations(files(path))
        kept.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.follow, lambda: told.append(trio.current_time()))
            await trio.testing.wait_all_tasks_blocked()
            path.write_bytes(lists.crl("a", KEY, 1, 2, 3))
            await until(lambda: "max_user_watches" in caplog.text)
            await until(lambda: told)
            nursery.cancel_scope.cancel()

    with caplog.at_level(logging.WARNING):
        trio.run(main)
    assert len(told) == 1
