"""What a process may do beyond what its user may: capabilities (capabilities(7)), given up and never regained.

Capabilities belong to threads: all of this is for a process that has one yet.
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterable
from enum import IntEnum

from edged.prctl import prctl

__all__ = ["KEPT_BY_SUPERVISOR", "Capability", "give_up_all", "keep_only"]


class Capability(IntEnum):
    """As <linux/capability.h> numbers them; only those that are named here."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    NET_BIND_SERVICE = 10


# A reload binds ports, starts children as their user, and changes whose the files of unix sockets are, in directories that are the
# children's. Whoever does not leave is killed.
KEPT_BY_SUPERVISOR = (
    Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.KILL, Capability.SETGID, Capability.SETUID, Capability.NET_BIND_SERVICE,
)

_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 23, 24, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_VERSION = 0x20080522                            # of the structures below: sets of 64 bits, as two halves

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def give_up_all() -> None:
    """Keep no capability, in any set, and let no program that is started from here gain any. The bounding set can be emptied by
    whoever has CAP_SETPCAP; for anybody else it has no meaning any more."""
    _clear_ambient()
    _empty_bounding_set()
    _set(0, 0)
    _gain_nothing()


def keep_only(wanted: Iterable[Capability]) -> None:
    """Keep these, where there are such: also in a program that this one becomes, but in none that it starts as another user."""
    kept = sum(1 << capability for capability in wanted) & _permitted()
    _clear_ambient()
    _set(kept | (1 << Capability.SETPCAP) & _permitted(), kept)
    _empty_bounding_set()
    _set(kept, kept)
    if os.geteuid() != 0:                        # for anybody but root, only what is ambient outlives an exec
        for capability in Capability:
            if kept >> capability & 1:
                prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, capability)
    _gain_nothing()


def _gain_nothing() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _clear_ambient() -> None:
    prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def _empty_bounding_set() -> None:
    if not _permitted() >> Capability.SETPCAP & 1:
        return
    with contextlib.suppress(_NoSuchCapability):
        for capability in range(64):
            if _is_bounded(capability):
                prctl(_PR_CAPBSET_DROP, capability)


class _NoSuchCapability(Exception):
    """This kernel has none of that number, nor of a higher one."""


def _is_bounded(capability: int) -> bool:
    try:
        return prctl(_PR_CAPBSET_READ, capability) == 1
    except OSError as why:
        if why.errno == errno.EINVAL:
            raise _NoSuchCapability from None
        raise


def _permitted() -> int:
    halves = (_Half * 2)()
    _call("capget", halves)
    return int(halves[0].permitted | halves[1].permitted << 32)


def _set(held: int, inheritable: int) -> None:
    """Set what is effective and permitted, and what is inheritable."""
    halves = (_Half * 2)()
    for half, shift in zip(halves, (0, 32), strict=True):
        half.effective = half.permitted = held >> shift & 0xFFFFFFFF
        half.inheritable = inheritable >> shift & 0xFFFFFFFF
    _call("capset", halves)


def _call(name: str, halves: "ctypes.Array[_Half]") -> None:
    if getattr(_libc, name)(ctypes.byref(_Header(_VERSION, 0)), halves) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
