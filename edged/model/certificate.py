"""What is shown to clients, and whom endpoints are believed. Private keys are in no repr, no log and no file that we write."""

from dataclasses import dataclass, field
from hashlib import sha256

from .origin import NOWHERE, Origin


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was checked, with its chain and key. Equal where `id` is: what is shown is then the same."""

    id: str                                                  # sha256 of the rest, in hex
    chain: tuple[bytes, ...] = field(compare=False, repr=False)      # DER, the leaf first; (): known by its id alone
    key: bytes = field(compare=False, repr=False)            # PKCS#8 in DER
    ocsp: bytes = field(default=b"", compare=False, repr=False)      # DER of the answer to staple; b"": none
    origin: Origin = field(default=NOWHERE, compare=False)

    @classmethod
    def of(cls, chain: tuple[bytes, ...], key: bytes, ocsp: bytes = b"", origin: Origin = NOWHERE) -> "Certificate":
        return cls(_digest(*chain, key, ocsp).hex(), chain, key, ocsp, origin)

    @property
    def is_known(self) -> bool:
        """False: only the id was kept, as nothing that holds keys is written to disk."""
        return bool(self.chain)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom an endpoint must be certified by. Equal where `id` is."""

    id: int                                                  # 64 bits of a digest of the rest; never 0
    authorities: tuple[bytes, ...] = field(compare=False, repr=False)    # DER
    verify: bool = field(default=True, compare=False)        # False: any certificate will do

    @classmethod
    def of(cls, authorities: tuple[bytes, ...] = (), verify: bool = True) -> "Trust":
        number = int.from_bytes(_digest(b"verify" if verify else b"", *authorities)[:8], "big")
        return cls(number or 1, authorities, verify)


def _digest(*parts: bytes) -> bytes:
    """Each part behind its length, so that no two lists of parts are one text."""
    whole = sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()
