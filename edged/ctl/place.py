"""Where the daemon of a settings file is to be found. A check may ask every second: only what is odd about the file is left to those
who read all of it, and import much to do so."""

import tomllib
from pathlib import Path
from typing import Any

from edged.ctl.frames import RUNTIME_DIR

__all__ = ["runtime_dir"]


def runtime_dir(config: str) -> str:
    """[run] runtime_dir as the daemon takes it: a wrong value elsewhere is no reason not to find it. Raises StartError and
    InvalidSettings as `settings.load.read` does."""
    written = _plainly_written(config)
    if written is not None:
        return str(Path(config).resolve().parent / written)
    from edged.settings.load import read

    return read(config)[0].run.runtime_dir


def _plainly_written(config: str) -> str | None:
    """The value in a file that is sound as far as that can be seen."""
    try:
        tree: dict[str, Any] = tomllib.loads(Path(config).read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return None
    run = tree.get("run", {})
    written = run.get("runtime_dir", RUNTIME_DIR) if isinstance(run, dict) else None
    return written if isinstance(written, str) and written.isprintable() else None
