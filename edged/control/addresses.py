"""Endpoint addresses: which texts are one, and which of them routes of a cluster must not reach (openshift-routes.md 2.3)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

__all__ = ["allowed", "literal", "packed"]

_METADATA = (ip_address("168.63.129.16"), ip_address("fd00:ec2::254"))
_COMPATIBLE = ip_network("::/96")


def literal(text: str) -> str | None:
    """An IP address in canonical form, or None: names and zones are none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else str(address)


def packed(address: str) -> bytes:
    """The bytes of a canonical address, for ordering."""
    return ip_address(address).packed


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
