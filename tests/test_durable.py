import os
import stat
from pathlib import Path

import pytest

from edged.durable import replace_file


def test_a_file_is_replaced_for_its_owner_alone_whatever_the_umask_says(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    path.chmod(0o644)
    before = os.umask(0o777)
    try:
        replace_file(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_somebody_left_who_was_killed_is_no_obstacle_and_no_way_to_another_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (tmp_path / ".state.new").symlink_to(other)
    replace_file(tmp_path / "state", b"ours")
    assert other.read_bytes() == b"theirs"
    assert (tmp_path / "state").read_bytes() == b"ours"


def test_the_old_file_stays_when_the_new_one_cannot_be_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="directory"):
        replace_file(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "kept").exists()
