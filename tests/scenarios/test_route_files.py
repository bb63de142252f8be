"""Route files change while the daemon runs, in every way in which people and programs change files."""

import json
import os
import threading
from pathlib import Path

import pytest

from tests.scenarios.harness.client import get
from tests.scenarios.harness.daemon import Daemon
from tests.scenarios.harness.until import until


class Files:
    """The routes folder of a daemon with two workers."""

    def __init__(self, edged: Daemon, endpoint: str) -> None:
        self.edged = edged
        self.folder = edged.routes_dir
        self.endpoint = endpoint

    def short(self, *hosts: str, **route: object) -> str:
        return json.dumps({"routes": [{"host": host, "to": [self.endpoint], **route} for host in hosts]})

    def serves(self, host: str, path: str = "/") -> bool:
        return get(self.edged.address(), path, host).status == 200

    def until_serves(self, *hosts: str) -> None:
        """Both workers do."""
        until(lambda: all(self.serves(host) for host in hosts for _ in range(8)), what=f"{hosts} served")

    def until_gone(self, *hosts: str) -> None:
        until(lambda: not any(self.serves(host) for host in hosts for _ in range(8)), what=f"{hosts} served no more")

    def rename_over(self, name: str, text: str) -> Path:
        return self.edged.write_routes(text, name)


@pytest.fixture(scope="module")
def running(lasting_daemon, lasting_backend):
    return Files(lasting_daemon({"worker": {"count": 2}}), lasting_backend().address)


@pytest.fixture
def files(running):
    yield running
    for path in running.folder.iterdir():
        path.unlink()
    running.until_gone("one.test", "two.test")           # the names that many tests use


def test_a_file_is_replaced_by_another(files):
    files.rename_over("a.yaml", files.short("one.test"))
    files.until_serves("one.test")
    files.rename_over("a.yaml", files.short("two.test"))
    files.until_serves("two.test")
    assert not files.serves("one.test")


def test_a_file_is_written_in_place(files):
    path = files.folder / "a.yaml"
    path.write_text(files.short("one.test"))
    files.until_serves("one.test")
    path.write_text(files.short("one.test", "two.test"))
    files.until_serves("two.test")
    assert files.serves("one.test")


def test_a_deleted_file_withdraws_its_routes_and_no_others(files):
    files.rename_over("a.yaml", files.short("one.test"))
    files.rename_over("b.yaml", files.short("two.test"))
    files.until_serves("one.test", "two.test")
    (files.folder / "a.yaml").unlink()
    files.until_gone("one.test")
    assert files.serves("two.test")


def test_a_file_moved_away_withdraws_its_routes(files, tmp_path):
    files.rename_over("a.yaml", files.short("one.test"))
    files.until_serves("one.test")
    (files.folder / "a.yaml").rename(tmp_path / "a.yaml")
    files.until_gone("one.test")
    (tmp_path / "a.yaml").rename(files.folder / "a.yaml")
    files.until_serves("one.test")


def test_a_half_written_file_changes_nothing(files):
    """What was served goes on; the rest applies as soon as it is there."""
    path = files.rename_over("a.yaml", files.short("one.test"))
    files.until_serves("one.test")
    before = len(files.edged.said(r"a\.yaml"))
    whole = files.short("one.test", "two.test")
    path.write_text(whole[: len(whole) // 2])
    until(lambda: len(files.edged.said(r"a\.yaml")) > before, what="the fault is told")
    assert files.serves("one.test")
    path.write_text(whole)
    files.until_serves("one.test", "two.test")


def test_while_a_file_is_being_written_it_is_not_read(files):
    path = files.rename_over("a.yaml", files.short("one.test"))
    files.until_serves("one.test")
    whole = files.short("one.test", "two.test")
    with path.open("w") as slow:
        slow.write(whole[:40])
        slow.flush()
        files.rename_over("b.yaml", files.short("three.test"))       # something else happens meanwhile
        files.until_serves("three.test")
        assert files.serves("one.test")
        slow.write(whole[40:])
    files.until_serves("two.test")


@pytest.mark.parametrize("name", [".a.yaml.swp", "a.yaml~", "#a.yaml#", "4913", ".#a.yaml", "a.yaml.tmp", "a.txt", ".hidden.yaml"])
def test_temporary_files_of_editors_are_none_of_ours(files, name):
    (files.folder / name).write_text(files.short("temporary.test"))
    files.rename_over("z.yaml", files.short("real.test"))            # read after the other would have been
    files.until_serves("real.test")
    assert not files.serves("temporary.test")


def test_an_empty_file_changes_nothing(files):
    path = files.rename_over("a.yaml", files.short("one.test"))
    files.until_serves("one.test")
    path.write_text("")
    files.edged.until_said(r"a\.yaml: the file is empty")
    assert files.serves("one.test")


def test_a_bad_route_is_named_by_file_and_line_and_all_others_apply(files):
    path = files.rename_over("a.yaml", f"""\
routes:
- host: good.test
  to: ["{files.endpoint}"]
- host: bad.test
  to: ["{files.endpoint}"]
  balnce: leastconn
- host: late.test
  to: ["{files.endpoint}"]
---
kind: Route
apiVersion: route.openshift.io/v1
metadata: {{name: wrong, namespace: shop}}
spec: {{host: object.test, to: {{kind: Service, name: [1]}}}}
""")
    files.until_serves("good.test", "late.test")
    assert not files.serves("bad.test")
    told = files.edged.until_said(f"{path}:6: .*balnce")
    assert "did you mean" in told or "balance" in told
    files.edged.until_said(rf"{path}:1[0-3]: .*spec\.to\.name")


def test_of_two_claims_on_a_host_and_path_the_first_in_file_order_wins(backend, files):
    other = backend(lambda peer: [peer.request(), peer.reply(b"other")])
    path = files.rename_over("a.yaml", json.dumps({"routes": [
        {"name": "first", "host": "one.test", "path": "/x", "to": [files.endpoint]},
        {"name": "second", "host": "one.test", "path": "/x", "to": [other.address]},
        {"name": "third", "host": "one.test", "to": [files.endpoint]},
    ]}, indent=0))
    files.until_serves("one.test")
    assert files.edged.until_said(rf"{path}.*second.*not admitted")
    assert get(files.edged.address(), "/x", "one.test").body != b"other"
    assert not other.peers


def test_the_loser_takes_over_when_the_winner_goes(backend, files):
    other = backend(lambda peer: [peer.request(), peer.reply(b"other", Connection="close")])
    files.rename_over("a.yaml", files.short("one.test", name="first"))
    files.until_serves("one.test")
    files.rename_over("b.yaml", json.dumps({"routes": [{"name": "second", "host": "one.test", "to": [other.address]}]}))
    files.edged.until_said("second.*not admitted")
    (files.folder / "a.yaml").unlink()
    until(lambda: get(files.edged.address(), host="one.test").body == b"other")


def test_the_longest_path_wins(backend, files):
    deep = backend(lambda peer: [peer.request(), peer.reply(b"deep", Connection="close")])
    files.rename_over("a.yaml", json.dumps({"routes": [
        {"host": "one.test", "to": [files.endpoint]},
        {"host": "one.test", "path": "/a/b", "to": [deep.address]},
    ]}))
    files.until_serves("one.test")
    for path in ("/a/b", "/a/b/", "/a/b/c", "/a/b?x"):
        assert get(files.edged.address(), path, "one.test").body == b"deep", path
    for path in ("/", "/a", "/a/bc", "/A/b"):
        assert json.loads(get(files.edged.address(), path, "one.test").body)["target"] == path


def test_a_link_may_be_turned(files, tmp_path):
    """How volumes of a cluster are brought up to date: a link to a folder is replaced."""
    for number, host in enumerate(["one.test", "two.test"]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.yaml").write_text(files.short(host))
    os.symlink(tmp_path / "0", tmp_path / "data")
    os.symlink(tmp_path / "data" / "a.yaml", files.folder / "a.yaml")
    files.until_serves("one.test")
    os.symlink(tmp_path / "1", tmp_path / "new")
    os.rename(tmp_path / "new", tmp_path / "data")
    files.until_serves("two.test")
    assert not files.serves("one.test")


def test_no_request_fails_while_routes_change(files):
    files.rename_over("a.yaml", files.short("steady.test"))
    files.until_serves("steady.test")
    failed: list[int] = []
    over = threading.Event()

    def asks() -> None:
        with files.edged.connect() as client:
            while not over.is_set():
                status = client.ask("/", "steady.test").status
                if status != 200:
                    failed.append(status)

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(40):
        files.rename_over("a.yaml", files.short("steady.test", *(f"{n}-{i}.test" for i in range(20))))
    files.until_serves("39-19.test")
    over.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_sources_are_read_again_at_sighup(files):
    files.rename_over("a.yaml", files.short("one.test"))
    files.until_serves("one.test")
    files.edged.process.send_signal(1)
    files.edged.until_said("SIGHUP")
    files.until_serves("one.test")
