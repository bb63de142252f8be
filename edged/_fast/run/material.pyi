from collections.abc import Sequence

from edged._fast.run.keyring import Served

class Authority:
    def __init__(self, der: bytes) -> None: ...

class Chain:
    authorities: tuple[Authority, ...]
    def __init__(self, authorities: Sequence[Authority]) -> None: ...

class Material:
    chain: Chain | None
    def __init__(self, der: bytes, key: bytes, chain: Chain | None) -> None: ...
    def served(self, ocsp: bytes) -> Served: ...

def material_alive() -> int: ...
