"""The state becomes a table; what cannot be in one is left out."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

import edged.control.compile as room
from edged._fast.memory.arena import Arena
from edged._fast.route.table import MappedTable, TableError
from edged.control.admit import Admission
from edged.control.compile import Compiler, PublishedTable
from edged.control.intake import Intake
from edged.hooks import Snapshot
from edged.settings.tables import DefaultTable
from tests.control.given import route


@pytest.fixture
def arena() -> Iterator[Arena]:
    fd = os.memfd_create("arena")
    yield Arena(fd, 32, 1)
    os.close(fd)


@pytest.fixture
def admission() -> Admission:
    return Admission(Intake({"s": False}), [], ())


def published(admission: Admission, *routes: Any) -> Admission:
    admission.intake.put("s", Snapshot(routes))
    admission.update()
    return admission


def test_a_table_has_the_state_s_version_and_is_closed_once(arena: Arena, admission: Admission) -> None:
    table = Compiler(published(admission, route("a", to=["127.0.0.1:1"])), arena, DefaultTable()).table()
    assert table is not None
    assert table.version == 1
    assert MappedTable(table.fd).version == 1
    table.close()
    table.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(PublishedTable(1, table.fd).fd)


def test_a_route_that_no_table_can_hold_is_left_out(
    arena: Arena, admission: Admission, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(room.TableBuilder):  # type: ignore[misc]
        def build(self, state: Any, slots: Any) -> int:
            if any(one.key == "bad" for one in state.routes):
                raise TableError("bad", "it is too good for this world")
            fd: int = super().build(state, slots)
            return fd

    monkeypatch.setattr(room, "TableBuilder", Picky)
    table = Compiler(published(admission, route("good"), route("bad", "b")), arena, DefaultTable()).table()
    assert table is not None
    assert [one.key for one in admission.state.routes] == ["good"]
    assert table.version == admission.state.version == 2
    assert "route bad cannot be served" in caplog.text
    table.close()


def test_with_a_full_arena_the_last_table_stays(arena: Arena, admission: Admission, caplog: pytest.LogCaptureFixture) -> None:
    compiler = Compiler(published(admission, route("a", to=[f"127.0.0.1:{n}" for n in range(1, 50)])), arena, DefaultTable())
    assert compiler.table() is None
    assert "the last one stays in force" in caplog.text
    published(admission, route("a"))
    table = compiler.table()
    assert table is not None
    table.close()
