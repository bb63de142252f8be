"""The program of the guests, as those see it who start it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .visits import Plan

__all__ = ["Guests"]

ROOT = Path(__file__).parents[3]


class Guests:
    """Started, it has servers at `ports`, by service; `begin` sends the clients, `end` lets them finish."""

    def __init__(self, certificate: Path, settle: Callable[[], None] | None = None) -> None:
        """`settle` is done in the new process, before it is executed."""
        words = [sys.executable, "-m", "bench.loads.handoff.guests", str(certificate)]
        self.process = subprocess.Popen(
            words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=settle,
        )
        self.ports: dict[str, int] = self._hear()

    def begin(self, plan: Plan) -> None:
        """Returns when every client was served once, or has waited long."""
        self._tell(json.dumps(asdict(plan)))
        self._hear()

    def end(self) -> dict[str, dict[str, Any]]:
        """What each kind of client, and of server, has to tell, as in tally.Tally."""
        self._tell("over")
        counts: dict[str, dict[str, Any]] = self._hear()
        return counts

    def leave(self) -> None:
        """Whether or not they have ended."""
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def _tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _hear(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise OSError(f"the guests ended with status {self.process.wait()}")
        return json.loads(line)
