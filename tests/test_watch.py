"""What is seen of files that change, and what not."""

import errno
import os
from pathlib import Path

import pytest
import trio

from edged.watch import Watch
from tests.control.given import play


def test_without_inotify_nothing_is_seen_until_it_is_there_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Watch._call
    full = True

    def call(self: Watch, name: str, *arguments: object) -> int:
        if full and name == "inotify_init1":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return known(self, name, *arguments)

    monkeypatch.setattr(Watch, "_call", call)

    async def story() -> None:
        nonlocal full
        with Watch() as watch:
            with pytest.raises(OSError, match="Too many open files"):
                watch.keep({str(tmp_path)})
            write(tmp_path / "unseen")
            assert watch.changes_nowait().names == set()
            with trio.move_on_after(0.05) as waited:
                await watch.changes()
            assert waited.cancelled_caught
            full = False
            assert watch.keep({str(tmp_path)}) == {str(tmp_path)}
            write(tmp_path / "seen")
            assert (await watch.changes()).names == {str(tmp_path / "seen")}

    before = set(os.listdir("/proc/self/fd"))
    play(story)
    assert set(os.listdir("/proc/self/fd")) == before


def write(path: Path) -> None:
    path.write_text("x")
