"""Imports only run down: this reads every import and cimport line, and names the file and line of one that does not.

The floors are those of `edged/README.md`. A room may use its own floor and those below, with the exceptions told here.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = [                                       # of edged/: lowest first
    "_fast model errors",
    "settings wire tls stats hooks logs watch ctl durable prctl rights",
    "client child anew",
    "supervisor control worker",
    "cli commands certs explain demo trial __main__",
]
FAST_FLOORS = ["base", "parse memory", "route", "talk", "run"]
APART = [("_fast", "model", "errors"), ("supervisor", "control", "worker")]      # never one another
NEVER = {
    "supervisor": ("edged._fast", "edged.hooks", "edged_plugins", "edged.client"),
    "worker": ("edged.hooks", "edged_plugins"),
    "control": ("edged_plugins",),               # found by entry points, like anybody's
    "_fast": ("trio",),
}
ALLOCATES = ("libc.stdlib", "cpython.mem", "edged._fast.memory")
CALLS_THE_SYSTEM = ("posix", "socket", "edged._fast.base.linux", "libc.stdio")

CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(.*)|c?import\s+([\w.]+))")


class Line(NamedTuple):
    file: str                                    # relative to the root
    number: int
    module: str                                  # what is imported, as an absolute name

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.module}"


def package_of(file: Path, root: Path) -> list[str]:
    parts = list(file.relative_to(root).with_suffix("").parts)
    return ["edged_plugins" if parts[0] == "plugins" else parts[0], *parts[1:-1]]


def imports(file: Path, root: Path) -> Iterator[Line]:
    reader = python_imports if file.suffix in (".py", ".pyi") else cython_imports
    for number, module in reader(file.read_text(), package_of(file, root)):
        yield Line(str(file.relative_to(root)), number, module)


def python_imports(text: str, package: list[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])]) if node.level else node.module or ""
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def cython_imports(text: str, package: list[str]) -> Iterator[tuple[int, str]]:
    for number, row in enumerate(text.splitlines(), 1):
        match = CIMPORT.match(row)
        if match is None:
            continue
        module = match[1] or match[3]
        if module.startswith("."):
            level = len(module) - len(module.lstrip("."))
            module = ".".join([*package[: len(package) - level + 1], *filter(None, [module.lstrip(".")])])
        names = re.findall(r"\w+", match[2].split(" as ")[0]) if match[2] else []
        yield from ((number, f"{module}.{name}") for name in names or [""])


def sources(root: Path) -> Iterator[Path]:
    for top in ("edged", "plugins"):
        yield from sorted(path for suffix in ("py", "pyi", "pyx", "pxd") for path in (root / top).glob(f"**/*.{suffix}"))


def level(floors: list[str], room: str) -> int:
    for number, rooms in enumerate(floors):
        if room in rooms.split():
            return number
    raise AssertionError(f"{room} is on no floor: say in this file where it belongs")


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def room_of(file: str) -> str:
    parts = Path(file).with_suffix("").parts
    return parts[1]


def wrong(line: Line) -> bool:
    parts = line.module.split(".")
    if line.file.startswith("plugins/"):
        return wrong_in_plugin(line, parts)
    room = room_of(line.file)
    if room == "__init__":                       # edged/__init__.py holds the version alone
        return parts[0] == "edged"
    if within(line.module, NEVER.get(room, ())):
        return True
    if parts[0] != "edged" or len(parts) < 2 or parts[1] == "__version__":
        return False
    if room == "_fast":
        return parts[1] != "_fast" or wrong_in_fast(line, parts)
    if any(room in group and parts[1] in group and room != parts[1] for group in APART):
        return True
    return level(FLOORS, parts[1]) > level(FLOORS, room)


def wrong_in_fast(line: Line, parts: list[str]) -> bool:
    floor = Path(line.file).parts[2]
    if len(parts) < 3 or floor.startswith("__init__"):
        return False
    return level(FAST_FLOORS, parts[2]) > level(FAST_FLOORS, floor)


def wrong_in_plugin(line: Line, parts: list[str]) -> bool:
    own = Path(line.file).parts[1]
    if parts[0] == "edged":
        return len(parts) < 2 or parts[1] not in ("hooks", "client")
    return parts[0] == "edged_plugins" and parts[1:2] != [own] and len(parts) > 3      # another one's own offers only


def breaks(line: Line, floor: str, names: tuple[str, ...]) -> bool:
    return line.file.startswith(f"edged/_fast/{floor}/") and within(line.module, names)


def upward_imports(root: Path) -> list[str]:
    return [str(line) for file in sources(root) for line in imports(file, root) if wrong(line)]


def test_imports_only_run_down():
    assert upward_imports(ROOT) == []


def test_no_ring_in_run():
    """What a room of run calls never calls that room in turn, over whichever rooms."""
    below: dict[str, set[str]] = {}
    for file in (ROOT / "edged/_fast/run").glob("*.p[yx][xd]"):
        called = (line.module.split(".") for line in imports(file, ROOT))
        below.setdefault(file.stem, set()).update(parts[3] for parts in called if parts[:3] == ["edged", "_fast", "run"])
    while lowest := {room for room, rooms in below.items() if not rooms - {room}}:
        below = {room: rooms - lowest for room, rooms in below.items() if room not in lowest}
    assert below == {}


def test_parse_never_allocates():
    assert [str(line) for file in sources(ROOT) for line in imports(file, ROOT) if breaks(line, "parse", ALLOCATES)] == []


def test_talk_never_calls_the_system():
    assert [str(line) for file in sources(ROOT) for line in imports(file, ROOT) if breaks(line, "talk", CALLS_THE_SYSTEM)] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("edged/supervisor/x.py", "from edged._fast.memory.arena import Arena"),
        ("edged/supervisor/x.py", "def f():\n    from ..worker import process"),
        ("edged/worker/x.py", "import edged.hooks"),
        ("edged/worker/x.py", "from edged import control"),
        ("edged/model/x.py", "from edged.errors import EdgedError"),
        ("edged/settings/x.py", "from edged.client import get"),
        ("edged/_fast/parse/x.pyx", "from edged._fast.route.table cimport Table"),
        ("edged/_fast/run/x.pyx", "from edged.model.route import Route"),
        ("edged/_fast/talk/x.pxd", "from ..run.engine cimport Engine"),
        ("plugins/mine/x.py", "from edged.model.route import Route"),
        ("plugins/mine/x.py", "from edged_plugins.files.reader import read"),
    ],
)
def test_an_upward_import_is_named(tmp_path, file, text):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert len(upward_imports(tmp_path)) == 1
    assert upward_imports(tmp_path)[0].startswith(f"{file}:")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("edged/worker/x.py", "from edged._fast.run.engine import Engine\nfrom edged.wire import Wire\nimport trio"),
        ("edged/_fast/run/x.pyx", "from edged._fast.parse.head cimport Head\nfrom libc.stdint cimport uint8_t\nimport os"),
        ("edged/model/x.py", "from .route import Route"),
        ("plugins/mine/x.py", "from edged.hooks import Route\nfrom edged_plugins.mine.y import z\nfrom edged_plugins.files import Offer"),
    ],
)
def test_a_downward_import_is_fine(tmp_path, file, text):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert upward_imports(tmp_path) == []
