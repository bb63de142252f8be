from collections.abc import Mapping

NAMES: tuple[str, ...]

def install(addresses: Mapping[str, int]) -> None: ...
