"""Certificates beside route files: replaced, broken, swapped, gone."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import edged_plugins.files.source as room
import pytest
import trio
from edged_plugins.files.shortform import Defaults
from edged_plugins.files.source import FilesSource

from edged.hooks import Snapshot
from tests.control.given import play, until
from tests.scenarios.harness.authority import Authority, common_name

AUTHORITY = Authority("beside")
ONE, TWO, THREE = (AUTHORITY.issue(name, number=number) for number, name in enumerate(("one", "two", "three")))

SITE = """\
routes:
- {host: first.test, to: []}
- {host: www.test, to: ['127.0.0.1:80'], tls: {certificate: certs/www.crt, key: certs/www.key}}
- {host: last.test, to: []}
"""


class Watched:
    """A source at work; what it published last."""

    def __init__(self, folder: Path) -> None:
        self.source = FilesSource([str(folder / "routes.d")], Defaults())
        self.now = Snapshot()
        self.published = 0

    async def publish(self, snapshot: Snapshot) -> None:
        self.now = snapshot
        self.published += 1
        await trio.lowlevel.checkpoint()

    @property
    def shown(self) -> dict[str, str]:
        """Host and certificate, in order of the routes."""
        return {route.host: common_name(route.certificate.chain[0]) if route.certificate else "" for route in self.now.routes}

    @property
    def problems(self) -> str:
        return "".join(map(str, self.now.problems))


Story = Callable[[Watched], Awaitable[None]]
Play = Callable[[Story], None]


@pytest.fixture(params=["here", "apart"])
def watch(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """watch(story): with files read in this process, and in a child."""
    if request.param == "apart":
        monkeypatch.setattr(room, "_APART_FROM_BYTES", 0)

    def run(story: Story) -> None:
        async def whole() -> None:
            watched = Watched(folder)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watched.source.run, watched.publish)
                await story(watched)
                nursery.cancel_scope.cancel()

        play(whole)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routes.d" / "certs").mkdir(parents=True)
    (tmp_path / "routes.d" / "site.yaml").write_text(SITE)
    put(tmp_path, ONE.pem, ONE.key_pem)
    return tmp_path


def put(folder: Path, certificate: str, key: str = "") -> None:
    """Put a certificate, and a key if it is another one, in place."""
    (folder / "routes.d" / "certs" / "www.crt").write_text(certificate)
    if key:
        (folder / "routes.d" / "certs" / "www.key").write_text(key)


def remove(folder: Path) -> None:
    (folder / "routes.d" / "certs" / "www.crt").unlink()


def write(folder: Path, text: str) -> None:
    (folder / "routes.d" / "site.yaml").write_text(text)


def all_show(name: str) -> dict[str, str]:
    return {"first.test": "", "www.test": name, "last.test": ""}


def test_a_replaced_certificate_is_served_and_a_broken_one_is_not(watch: Play, folder: Path) -> None:
    async def story(watched: Watched) -> None:
        await until(lambda: watched.shown == all_show("one"))
        put(folder, TWO.pem)                     # its key is still the old one
        await until(lambda: "certs/www.key: this is not the key of the certificate" in watched.problems)
        assert watched.shown == all_show("one")
        put(folder, TWO.pem, TWO.key_pem)
        await until(lambda: watched.shown == all_show("two") and not watched.problems)
        put(folder, "rubbish")
        await until(lambda: "certs/www.crt: there is no certificate in it" in watched.problems)
        assert watched.shown == all_show("two")
        remove(folder)
        await until(lambda: "there is no file" in watched.problems)
        assert watched.shown == all_show("two")
        write(folder, SITE + "- {host: more.test, to: []}\n")
        await until(lambda: watched.shown == {**all_show("two"), "more.test": ""})
        put(folder, THREE.pem, THREE.key_pem)
        await until(lambda: watched.shown == {**all_show("three"), "more.test": ""} and not watched.problems)

    watch(story)


def test_a_route_that_never_had_a_good_certificate_is_not_served(watch: Play, folder: Path) -> None:
    put(folder, "rubbish")

    async def story(watched: Watched) -> None:
        await until(lambda: watched.problems)
        assert list(watched.shown) == ["first.test", "last.test"]
        put(folder, ONE.pem, ONE.key_pem)
        await until(lambda: watched.shown == all_show("one"))

    watch(story)


def test_a_mounted_secret_is_swapped_as_a_whole(watch: Play, folder: Path) -> None:
    """As kubelet does: certs/www.crt -> ..data/www.crt, and ..data -> a folder that is exchanged."""
    certs = folder / "routes.d" / "certs"
    for number, certified in ((1, ONE), (2, TWO)):
        (certs / f"..{number}").mkdir()
        (certs / f"..{number}" / "www.crt").write_text(certified.pem)
        (certs / f"..{number}" / "www.key").write_text(certified.key_pem)
    (certs / "..data").symlink_to("..1")
    for name in ("www.crt", "www.key"):
        (certs / name).unlink()
        (certs / name).symlink_to(f"..data/{name}")

    async def story(watched: Watched) -> None:
        await until(lambda: watched.shown == all_show("one"))
        swap(certs)
        await until(lambda: watched.shown == all_show("two"))
        assert not watched.problems

    watch(story)


def swap(certs: Path) -> None:
    (certs / "..tmp").symlink_to("..2")
    (certs / "..tmp").rename(certs / "..data")


def test_files_that_are_named_later_are_watched_too(watch: Play, folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "other.pem").write_text(TWO.bundle)

    async def story(watched: Watched) -> None:
        await until(lambda: watched.shown == all_show("one"))
        write(folder, SITE.replace("{certificate: certs/www.crt, key: certs/www.key}", "{certificate: ../elsewhere/other.pem}"))
        await until(lambda: watched.shown == all_show("two"))
        other(folder)
        await until(lambda: watched.shown == all_show("three"))

    watch(story)


def other(folder: Path) -> None:
    (folder / "elsewhere" / "other.pem").write_text(THREE.bundle)


def test_what_changes_nothing_publishes_nothing(watch: Play, folder: Path) -> None:
    async def story(watched: Watched) -> None:
        await until(lambda: watched.shown == all_show("one"))
        put(folder, ONE.pem, ONE.key_pem)
        write(folder, SITE.replace("last.test", "end.test"))
        await until(lambda: "end.test" in watched.shown)
        assert watched.published == 2

    watch(story)
