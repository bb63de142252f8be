"""What is shipped: the source archive builds the wheel, and the wheel works where nothing else is."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOOR = ROOT / "edged" / "_fast"

pytestmark = pytest.mark.timeout(900)


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both archives, made from what git would check out: nothing that was built here can leak in."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    names = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        return set(archive.namelist())


def sources(built: Path, pattern: str) -> set[str]:
    root = built / "source"
    return {str(path.relative_to(root)) for folder in ("edged", "plugins") for path in (root / folder).glob(f"**/{pattern}")}


@pytest.mark.parametrize("pattern", ["*.py", "*.pyx", "*.pxd", "*.pyi", "*.json", "*.html", "py.typed"])
def test_the_source_archive_has_all_sources(built: Path, sdist: set[str], pattern: str) -> None:
    assert sources(built, pattern) - sdist == set()


def test_the_source_archive_has_nothing_that_was_built(sdist: set[str]) -> None:
    assert [name for name in sdist if name.endswith((".c", ".so", ".pyc"))] == []


def test_the_wheel_has_every_room_with_stubs_and_headers(built: Path, wheel: set[str]) -> None:
    rooms = {name.removesuffix(".pyx") for name in sources(built, "*.pyx")}
    assert rooms
    assert {name.partition(".")[0] for name in wheel if name.endswith(".so")} == rooms
    assert sources(built, "*.pyi") | sources(built, "*.pxd") <= wheel


@pytest.mark.parametrize("pattern", ["*.py", "*.json", "*.html", "py.typed"])
def test_the_wheel_has_all_that_python_reads(built: Path, wheel: set[str], pattern: str) -> None:
    names = sources(built, pattern)
    expected = {f"edged_{name}" if name.startswith("plugins/") else name for name in names}
    assert expected - wheel == set()


def test_the_wheel_has_neither_tests_nor_sources_of_the_rooms(wheel: set[str]) -> None:
    strange = [name for name in wheel if not name.startswith(("edged/", "edged_plugins/")) and ".dist-info/" not in name]
    assert strange == []
    assert [name for name in wheel if name.endswith((".c", ".pyx"))] == []


def test_every_room_has_a_stub() -> None:
    assert [str(path) for path in FLOOR.glob("**/*.pyx") if not path.with_suffix(".pyi").exists()] == []


def test_the_wheel_works_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    programs = tmp_path / "env" / "bin"
    run(programs / "pip", "install", "-q", "--disable-pip-version-check", next(built.glob("*.whl")), cwd=tmp_path)
    assert run(programs / "edged", "--version", cwd=tmp_path).startswith("edged ")
    (tmp_path / "edged.toml").write_text('[[listener]]\naddress = "127.0.0.1:0"\n[sources.files]\npaths = ["routes.yaml"]\n')
    (tmp_path / "routes.yaml").write_text('routes: [{host: "a.example.com", to: ["127.0.0.1:1"]}]\n')
    run(programs / "edged", "check", "--config", "edged.toml", cwd=tmp_path)
    script = "from importlib.metadata import entry_points as e; print(sorted(p.load().__name__ for p in e(group='edged.plugins')))"
    assert run(programs / "python", "-c", script, cwd=tmp_path).strip() == "['edged_plugins.files', 'edged_plugins.openshift']"
