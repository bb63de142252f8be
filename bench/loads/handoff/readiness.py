"""Readiness, asked for all the time, as balancers do: a reload or an upgrade must not show in it."""

import contextlib
import socket
import threading
import time
from pathlib import Path

__all__ = ["Prober"]

EVERY_S = 0.02
PATIENCE_S = 5.0
REQUEST = b"GET /readyz HTTP/1.0\r\n\r\n"


class Prober:
    """Asks at a unix socket until `end`."""

    def __init__(self, path: Path) -> None:
        self.ready = 0                           # answers, so many
        self.others: list[str] = []              # what else came
        self.longest_s = 0.0
        self._path = str(path)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.wait(EVERY_S):
            began_s = time.monotonic()
            answer = self._answer()
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)
            if answer.startswith("HTTP/1.1 200 "):
                self.ready += 1
            else:
                self.others.append(answer)

    def _answer(self) -> str:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE_S)
            try:
                s.connect(self._path)
                s.sendall(REQUEST)
                with contextlib.closing(s.makefile("rb")) as file:
                    return file.read().decode(errors="replace")
            except OSError as why:
                return repr(why)

    def end(self) -> None:
        self._over.set()
        self._thread.join()
