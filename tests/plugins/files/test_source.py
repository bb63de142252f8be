"""Files that change: every way in which an editor, a script or a cluster puts new content in place."""

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import edged_plugins.files.source as room
import pytest
import trio
from edged_plugins.files import edged_sources
from edged_plugins.files.shortform import Defaults
from edged_plugins.files.source import FilesSource

from edged.hooks import SettingsError, Snapshot, SourceError
from tests.control.given import play, until

Story = Callable[["Watched"], Awaitable[None]]


def text(*hosts: str) -> str:
    return "routes:\n" + "".join(f"- {{host: {host}, to: ['127.0.0.1:80']}}\n" for host in hosts)


class Watched:
    """A source at work; `now` is what it published last."""

    def __init__(self, *paths: Path) -> None:
        self.source = FilesSource([str(path) for path in paths], Defaults())
        self.now: Snapshot | None = None
        self.published = 0

    async def publish(self, snapshot: Snapshot) -> None:
        self.now = snapshot
        self.published += 1
        await trio.lowlevel.checkpoint()

    @property
    def hosts(self) -> list[str]:
        return [route.host for route in self.now.routes] if self.now else ["nothing yet"]

    @property
    def problems(self) -> list[str]:
        return [str(problem) for problem in self.now.problems] if self.now else []

    async def shows(self, *hosts: str, problem: str = "") -> None:
        """Wait until these hosts are served, and this is the problem, or there is none."""
        with trio.move_on_after(10):
            await until(lambda: self.hosts == list(hosts) and (problem in "".join(self.problems) if problem else not self.problems))
            return
        raise AssertionError(f"{self.hosts} {self.problems} instead of {hosts} {problem}")


def watch(story: Story, *paths: Path) -> None:
    async def whole() -> None:
        watched = Watched(*paths)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.source.run, watched.publish)
            await story(watched)
            nursery.cancel_scope.cancel()

    play(whole)


def test_a_folder_of_files_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(text("b"))
    (tmp_path / "a.yml").write_text(text("a1", "a2"))
    for name in (".hidden.yaml", "#a.yaml#", "a.yaml~", ".a.yaml.swp", ".#a.yaml", "4913", "a.yaml.bak", "notes.txt", "~x.yaml"):
        (tmp_path / name).write_text(text("wrong"))
    (tmp_path / "folder.yaml").mkdir()

    async def story(watched: Watched) -> None:
        await watched.shows("a1", "a2", "b")

    watch(story, tmp_path)


def test_paths_are_in_the_order_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.yaml").write_text(text("a"))
    (tmp_path / "z.routes").write_text(text("z"))

    async def story(watched: Watched) -> None:
        await watched.shows("z", "a")

    watch(story, tmp_path / "z.routes", tmp_path / "d", tmp_path / "z.routes")


def test_writing_replacing_adding_and_deleting(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"

    async def story(watched: Watched) -> None:
        await watched.shows()
        file.write_text(text("one"))
        await watched.shows("one")
        file.write_text(text("two"))
        await watched.shows("two")
        (tmp_path / ".a.yaml.new").write_text(text("three"))
        (tmp_path / ".a.yaml.new").rename(file)
        await watched.shows("three")
        (tmp_path / "b.yaml").write_text(text("b"))
        await watched.shows("three", "b")
        os.link(file, tmp_path / "c.yaml")
        await watched.shows("three", "b", "three")
        file.unlink()
        await watched.shows("b", "three")
        (tmp_path / "b.yaml").rename(tmp_path / "b.off")
        await watched.shows("three")

    watch(story, tmp_path)


def test_a_file_by_its_name_may_come_later_and_go(tmp_path: Path) -> None:
    file = tmp_path / "later" / "routes.yaml"

    async def story(watched: Watched) -> None:
        await watched.shows(problem="later/routes.yaml: there is no such file or folder; it is waited for")
        file.parent.mkdir()
        file.write_text(text("one"))
        await watched.shows("one")
        shutil.rmtree(file.parent)
        await watched.shows(problem="no such file")
        file.parent.mkdir()
        file.write_text(text("two"))
        await watched.shows("two")
        other = tmp_path / "other"
        other.mkdir()
        (other / "routes.yaml").write_text(text("three"))
        file.rename(file.with_suffix(".old"))
        (other / "routes.yaml").rename(file)
        await watched.shows("three")

    watch(story, file)


def test_a_folder_may_be_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "routes.d"
    folder.mkdir()
    (folder / "a.yaml").write_text(text("old"))
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.yaml").write_text(text("new"))

    async def story(watched: Watched) -> None:
        await watched.shows("old")
        folder.rename(tmp_path / "gone")
        new.rename(folder)
        await watched.shows("new")
        (tmp_path / "gone" / "a.yaml").write_text(text("nobody looks here"))
        (folder / "a.yaml").write_text(text("newer"))
        await watched.shows("newer")
        shutil.rmtree(folder)
        await watched.shows(problem="no such file or folder")

    watch(story, folder)


def test_a_half_written_file_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("one", "two"))

    async def story(watched: Watched) -> None:
        await watched.shows("one", "two")
        whole = text("three", "four")
        with file.open("w") as out:
            out.write(whole[:40])
            out.flush()
            (tmp_path / "b.yaml").write_text(text("b"))
            await watched.shows("one", "two", "b")
            out.write(whole[40:])
        await watched.shows("three", "four", "b")
        file.write_text(whole[:40])
        await watched.shows("three", "four", "b", problem="a.yaml:2: ")
        file.write_text("")
        await watched.shows("three", "four", "b", problem="the file is empty")
        file.write_text("\x00\x00")
        await watched.shows("three", "four", "b", problem="control characters")
        file.write_text(text("five"))
        await watched.shows("five", "b")

    watch(story, tmp_path)


def test_a_file_that_says_there_are_no_routes_is_believed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("one"))

    async def story(watched: Watched) -> None:
        await watched.shows("one")
        file.write_text("# none today\n")
        await watched.shows()

    watch(story, tmp_path)


def test_an_editor_that_moves_the_old_file_away_first_withdraws_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("old"))
    (tmp_path / "b.yaml").write_text(text("b"))
    seen: list[list[str]] = []

    async def story(watched: Watched) -> None:
        await watched.shows("old", "b")
        publish = watched.publish

        async def noting(snapshot: Snapshot) -> None:
            await publish(snapshot)
            seen.append(watched.hosts)

        watched.publish = noting  # type: ignore[method-assign]
        for n in range(3):
            (tmp_path / "4913").write_text("")
            (tmp_path / "4913").unlink()
            file.rename(tmp_path / "a.yaml~")
            with file.open("w") as out:
                await trio.sleep(0.25)           # longer than a file that is gone is waited for
                out.write(text(f"new{n}"))
            (tmp_path / "a.yaml~").unlink()
            await watched.shows(f"new{n}", "b")

    watch(story, tmp_path)
    assert all(len(hosts) == 2 and hosts[1] == "b" for hosts in seen)


def test_while_a_file_is_away_the_others_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").write_text(text("b"))

    async def story(watched: Watched) -> None:
        await watched.shows("a", "b")
        (tmp_path / "a.yaml").rename(tmp_path / "a.yaml~")
        (tmp_path / "b.yaml").write_text(text("b2"))
        await watched.shows("a", "b2")
        (tmp_path / "a.yaml~").rename(tmp_path / "a.yaml")
        (tmp_path / "b.yaml").write_text(text("b3"))
        await watched.shows("a", "b3")

    watch(story, tmp_path)


def test_a_mounted_config_map_is_swapped_as_a_whole(tmp_path: Path) -> None:
    def version(name: str, **files: str) -> None:
        (tmp_path / f"..{name}").mkdir()
        for file, content in files.items():
            (tmp_path / f"..{name}" / f"{file}.yaml").write_text(content)
        (tmp_path / "..data_tmp").symlink_to(f"..{name}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    version("v1", a=text("a1"), b=text("b1"))
    for name in "ab":
        (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    seen: list[list[str]] = []

    async def story(watched: Watched) -> None:
        await watched.shows("a1", "b1")
        publish = watched.publish

        async def noting(snapshot: Snapshot) -> None:
            await publish(snapshot)
            seen.append(watched.hosts)

        watched.publish = noting  # type: ignore[method-assign]
        for n in range(2, 5):
            version(f"v{n}", a=text(f"a{n}"), b=text(f"b{n}"))
            shutil.rmtree(tmp_path / f"..v{n - 1}")
            await watched.shows(f"a{n}", f"b{n}")

    watch(story, tmp_path)
    assert all({host[1] for host in hosts} in ({"2"}, {"3"}, {"4"}) for hosts in seen)


def test_links_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "r.yaml").write_text(text(name))
    (tmp_path / "current").symlink_to("data/v1")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "routes.yaml").symlink_to(tmp_path / "current" / "r.yaml")

    async def story(watched: Watched) -> None:
        await watched.shows("v1")
        (tmp_path / "next").symlink_to("data/v2")
        (tmp_path / "next").rename(tmp_path / "current")
        await watched.shows("v2")
        (tmp_path / "data" / "v2" / "r.yaml").write_text(text("v2b"))
        await watched.shows("v2b")
        (tmp_path / "data" / "v2" / "r.yaml").unlink()
        await watched.shows(problem="no such file")
        (tmp_path / "data" / "v2" / "r.yaml").write_text(text("v2c"))
        await watched.shows("v2c")

    watch(story, tmp_path / "etc" / "routes.yaml")


def test_links_in_a_ring_and_folders_and_pipes_are_told_and_waited_for(tmp_path: Path) -> None:
    (tmp_path / "ring.yaml").symlink_to("ring.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")

    async def story(watched: Watched) -> None:
        await watched.shows(problem="pipe.yaml: this is no file")
        assert any("ring.yaml: there is no such file" in problem for problem in watched.problems)
        (tmp_path / "ring.yaml").unlink()
        (tmp_path / "pipe.yaml").unlink()
        (tmp_path / "ring.yaml").write_text(text("round"))
        await watched.shows("round")

    watch(story, tmp_path)


def test_large_files_are_read_by_a_child_and_mean_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = "---\nkind: Route\nmetadata: {name: a}\nspec: {host: x}\n---\nkind: Route\nkind: Route\n---\nroutes: [5]\n"
    (tmp_path / "a.yaml").write_text(text(*(f"h{n}.example.com" for n in range(450))) + objects)
    (tmp_path / "b.yaml").write_text("a: [")
    (tmp_path / "c.yaml").write_text("")
    here = Watched(tmp_path)
    there = Watched(tmp_path)

    async def once(watched: Watched) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.source.run, watched.publish)
            await until(lambda: watched.now)
            nursery.cancel_scope.cancel()

    play(lambda: once(here))
    monkeypatch.setattr(room, "_APART_FROM_BYTES", 0)
    play(lambda: once(there))
    assert here.now is not None
    assert there.now is not None
    assert len(there.now.routes) == 450
    assert there.now.routes == here.now.routes
    assert there.now.problems == here.now.problems
    assert [dict(told.body) for told in there.now.objects] == [dict(told.body) for told in here.now.objects]
    assert [dict(told.lines) for told in there.now.objects] == [dict(told.lines) for told in here.now.objects]


def test_a_child_that_dies_is_the_end_of_a_turn_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_APART_FROM_BYTES", 0)
    monkeypatch.setattr("edged_plugins.files.child.sys.executable", shutil.which("true"))
    (tmp_path / "a.yaml").write_text(text("a"))

    async def story() -> None:
        with pytest.raises(SourceError, match="the process that reads large files has failed"):
            await Watched(tmp_path).source.run(Watched().publish)

    play(story)


def test_what_did_not_change_is_the_same_object(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: A\nn: 1\n---\nkind: A\nn: 2\n")
    (tmp_path / "b.yaml").write_text(text("b"))

    async def story(watched: Watched) -> None:
        await watched.shows("b")
        before = watched.now
        assert before is not None
        (tmp_path / "a.yaml").write_text("kind: A\nn: 1\n---\nkind: A\nn: 3\n")
        await until(lambda: watched.now is not before)
        assert watched.now is not None
        assert watched.now.routes[0] is before.routes[0]
        assert [one is other for one, other in zip(watched.now.objects, before.objects, strict=True)] == [True, False]
        published = watched.published
        (tmp_path / "b.yaml").write_text(text("b"))      # the same once more
        (tmp_path / "c.yaml").write_text(text("c"))
        await watched.shows("b", "c")
        assert watched.published == published + 1

    watch(story, tmp_path)


def test_rights_that_are_taken_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    refused = False
    opened = os.open

    def open_(path: str, *more: int) -> int:
        if refused and path == str(file):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    monkeypatch.setattr("edged_plugins.files.read.os.open", open_)

    async def story(watched: Watched) -> None:
        nonlocal refused
        await watched.shows("a")
        refused = True
        file.chmod(0)
        await watched.shows("a", problem="a.yaml: cannot be read: Permission denied")
        refused = False
        file.chmod(0o600)
        await watched.shows("a")

    watch(story, tmp_path)


def test_watches_that_run_out_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))

    def keep(*_: object) -> set[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edged.hooks.watch.Watch.keep", keep)

    async def story() -> None:
        watched = Watched(tmp_path)
        with pytest.raises(SourceError, match=r"inotify: No space left on device; fs\.inotify\.max_user_watches"):
            await watched.source.run(watched.publish)
        assert watched.hosts == ["a"]

    play(story)


@pytest.mark.parametrize(("table", "key", "told"), [
    ({}, "files.paths", "write a list"), ({"paths": []}, "files.paths", "write a list"), ({"paths": "x"}, "files.paths", "write a list"),
    ({"paths": [5]}, "files.paths", "write a list"), ({"paths": ["a"], "path": 1}, "files.path", 'did you mean "paths"'),
    ({"paths": ["a"], "filter_addresses": "no"}, "files.filter_addresses", "true or false"),
])
def test_settings_that_are_wrong(table: dict[str, object], key: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        edged_sources({"files": table})
    assert caught.value.key == key
    assert told in caught.value.message


def test_settings(tmp_path: Path) -> None:
    assert edged_sources({"__dir__": "/x"}) == ()
    (source,) = edged_sources({"files": {"paths": ["r.yaml", "/abs"]}, "__dir__": str(tmp_path), "defaults": {"balance": "first",
    "other": 1}})
    assert isinstance(source, FilesSource)
    assert source._paths == [str(tmp_path / "r.yaml"), "/abs"]
    assert source._defaults == Defaults(balance="first")
    assert source.filter_addresses is False
