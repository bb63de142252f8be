"""Shares of several services become weights of their endpoints (openshift-routes.md 8.5)."""

import struct
from collections.abc import Mapping, Sequence

__all__ = ["endpoint_weights"]

_MOST = 256


def endpoint_weights(weights: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Weight of each endpoint of a service, from the services' weights and how many endpoints each has. Services without
    endpoints get no entry."""
    present = {service: weight for service, weight in weights.items() if counts.get(service, 0) > 0}
    if sum(weight > 0 for weight in present.values()) == 1:
        return {service: int(weight > 0) for service, weight in present.items()}
    shares = {service: _single(weight / counts[service]) for service, weight in present.items()}
    scale = _scale(list(shares.values()))
    return {service: _weight(present[service], _single(share * scale)) for service, share in shares.items()}


def _scale(shares: Sequence[float]) -> float:
    most = max(shares, default=0.0)
    return _single(_MOST / most) if most else 0.0


def _weight(weight: int, share: float) -> int:
    """Truncated, but whoever has a weight at all keeps the least."""
    return max(int(share), 1) if weight > 0 else 0


def _single(number: float) -> float:
    """Rounded to 32 bits, as the reference computes."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded
