"""Sockets that do not send all they are given: so a TLS layer above breaks off, or lies, wherever chance wants it."""

import random
import socket
from typing import Any

__all__ = ["Cut", "Twisted"]


class Cut(socket.socket):
    """Takes the place of a socket; EOFError once so many bytes were sent through it."""

    def __init__(self, sock: socket.socket, left: int) -> None:
        timeout = sock.gettimeout()
        super().__init__(fileno=sock.detach())
        self.settimeout(timeout)
        self._left = left

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        now, self._left = min(self._left, len(data)), self._left - len(data)
        super().sendall(data[:now], flags)
        if self._left <= 0:
            raise EOFError


class Twisted(Cut):
    """Changes one byte in `every`, and never breaks off."""

    def __init__(self, sock: socket.socket, dice: random.Random, every: int) -> None:
        super().__init__(sock, 1 << 60)
        self._dice, self._every = dice, every

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        changed = bytearray(data)
        for at in range(self._dice.randrange(self._every), len(changed), self._every):
            changed[at] = self._dice.randrange(256)
        super().sendall(bytes(changed), flags)
