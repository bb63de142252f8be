"""Endpoint addresses: which texts are one, and which of them routes of a cluster must not reach (openshift-routes.md 2.3)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

__all__ = ["Address", "allowed", "literal"]

_METADATA = (ip_address("168.63.129.16"), ip_address("fd00:ec2::254"))
_COMPATIBLE = ip_network("::/96")


class Address(NamedTuple):
    """Sorts as openshift-routes.md 8.1 has it: by the bytes, IPv4 first."""

    size: int
    packed: bytes
    text: str


def literal(text: str) -> Address | None:
    """What an IP address is in bytes and in canonical form, or None: names and zones are none."""
    family = AF_INET6 if ":" in text else AF_INET
    try:
        packed = inet_pton(family, text)
    except (OSError, ValueError):                # ValueError: a NUL, or what is no ASCII
        return None
    return Address(len(packed), packed, inet_ntop(family, packed))


def allowed(address: str) -> bool:
    """False for what is local to a node or belongs to a cloud's metadata service. IPv4 within IPv6 is judged as IPv4."""
    judged = _judged(ip_address(address))
    return not (
        judged.is_unspecified or judged.is_loopback or judged.is_link_local or judged.is_multicast or judged in _METADATA
    )


def _judged(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _COMPATIBLE and int(address) > 1:          # "::" and "::1" are IPv6's own
            return IPv4Address(int(address))
    return address
