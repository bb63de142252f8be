"""What the engine finds in a keyring."""

from libc.stdint cimport uint64_t, uintptr_t

from edged._fast.base.view cimport view
from edged._fast.run.keyring cimport Entry, Keyring, keys_find, keys_trust


def context_of(Keyring keyring not None, uint64_t trust) -> int:
    """The address of its context; 0: the trust is unknown."""
    return <uintptr_t>keys_trust(&keyring.keys, trust)


def agrees(Keyring keyring not None, bytes name not None) -> bool:
    """Whether a protocol is agreed on with who asks for this name, which must be known."""
    cdef const Entry* entry = keys_find(&keyring.keys, view(<const char*>name, len(name)))
    if entry == NULL:
        raise KeyError(name)
    return bool(entry.alpn)
