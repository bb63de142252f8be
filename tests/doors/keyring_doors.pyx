"""What the engine finds in a keyring."""

from libc.stdint cimport uint64_t, uintptr_t

from edged._fast.run.keyring cimport Keyring, keys_trust


def context_of(Keyring keyring not None, uint64_t trust) -> int:
    """The address of its context; 0: the trust is unknown."""
    return <uintptr_t>keys_trust(&keyring.keys, trust)
