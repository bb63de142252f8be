"""An engine that keeps the real one's contract towards Python, and moves no bytes: what it was told, and a bell to ring."""

import os
import threading


class FakeTable:
    def __init__(self, version):
        self.version = version


class FakeEngine:
    """Obeys in its own thread, one order after another; `patience` makes it wait before each."""

    def __init__(self):
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.told = []
        self.accepting = {}                      # descriptor -> (number, name, mode, accept_proxy, trusted, port, tls)
        self.keyring = None
        self.contexts = {}                       # by the number of a listener: those that took the place of another
        self.version_in_force = 0
        self.idle = True
        self.accept_paused = False
        self.draining = False
        self.handed_over = 0
        self.taken_over = 0
        self.cut_off = 0
        self.retired = 0
        self.notices = []
        self.running = threading.Event()
        self.hold = threading.Event()            # cleared: orders wait
        self.hold.set()
        self._orders = []
        self._obeyed = 0
        self._given = threading.Semaphore(0)

    def close(self):
        os.close(self.bell)

    @property
    def orders_left(self):
        return len(self._orders) - self._obeyed

    def _order(self, *order):
        self._orders.append(order)
        self._given.release()

    def add_listener(self, number, fd, *more):
        self._order("listen", fd, (number, *more))

    def remove_listener(self, fd):
        self._order("unlisten", fd)

    def use_table(self, table):
        self._order("table", table)

    def use_keyring(self, keyring):
        self._order("keyring", keyring)

    def use_context(self, number, context):
        self._order("context", number, context)

    def drain(self):
        self._order("drain")

    def cut(self, *, tunnels):
        self._order("cut tunnels" if tunnels else "cut exchanges")

    def hand_over(self, fd):
        self._order("hand over", fd)

    def take_over(self, fd):
        self._order("take over", fd)

    def stop(self):
        self.hold.set()
        self._order("stop")

    def take_retired(self):
        taken, self.retired = self.retired, 0
        return taken

    def take_notices(self):
        taken, self.notices = self.notices, []
        return taken

    def ring(self):
        os.eventfd_write(self.bell, 1)

    def run(self):
        self.running.set()
        while True:
            self._given.acquire()
            self.hold.wait()
            order = self._orders[self._obeyed]
            self.told.append(order[0])
            match order:
                case ("listen", fd, what):
                    os.fstat(fd)                 # the engine must never be given a descriptor that is closed
                    self.accepting[fd] = what
                case ("unlisten", fd):
                    os.fstat(fd)
                    del self.accepting[fd]
                case ("table", table):
                    self.version_in_force = table.version
                    self.ring()
                case ("keyring", keyring):
                    self.keyring = keyring
                case ("context", number, context):
                    self.contexts[number] = context
                case ("hand over" | "take over", fd):
                    os.fstat(fd)
                case ("drain",):
                    self.draining = True
                    self.ring()
                case ("stop",):
                    self._obeyed += 1
                    return
                case ("fail",):
                    raise MemoryError("as if")
            self._obeyed += 1
