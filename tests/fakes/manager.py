"""A service manager: the socket that it is told things on, and what it was told, with descriptors."""

import array
import os
import socket
import time

from tests.fakes.daemon import PATIENCE_S


class Manager:
    def __init__(self, address):
        """`address`: a path, or "@name" for an abstract one."""
        self.address = str(address)
        self.told = []                           # each message as a list of lines
        self.stored = []                         # (name, descriptor) of what it keeps
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)

    def receive(self, patience_s=PATIENCE_S):
        """The lines of the next message; raises TimeoutError."""
        self._socket.settimeout(patience_s)
        data, rights, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(253 * 4), socket.MSG_CMSG_CLOEXEC)
        lines = data.decode().split("\n")
        fds = array.array("i", b"".join(block for _, _, block in rights))
        fields = dict(line.split("=", 1) for line in lines)
        self.stored += [(fields["FDNAME"], fd) for fd in fds]
        if "FDSTOREREMOVE" in fields:
            for name, fd in [one for one in self.stored if one[0] == fields["FDNAME"]]:
                self.stored.remove((name, fd))
                os.close(fd)
        self.told.append(lines)
        return lines

    def until(self, line):
        """Receive until a message has this line, or one that begins so if it ends with "="; answers that line."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:        # whatever else it is told meanwhile
            for one in self.receive():
                if one == line or (line.endswith("=") and one.startswith(line)):
                    return one
        raise TimeoutError(line)

    def all(self):
        """Every message that is here by now."""
        before = len(self.told)
        while True:
            try:
                self.receive(0.0)
            except BlockingIOError:
                return self.told[before:]

    def close(self):
        self._socket.close()
        for _, fd in self.stored:
            os.close(fd)
        self.stored = []
