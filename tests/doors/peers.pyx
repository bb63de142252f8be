"""Who is at the other end: addresses as text, and whether to believe them."""

import ipaddress

from libc.string cimport memcpy, memset

from edged._fast.talk.address cimport ip_text
from edged._fast.talk.h1 cimport front_near, front_trusts
from edged._fast.talk.wants cimport Client, Listener, Network

cdef int set_address(ProxyAddress* out, str text) except -1:
    host, _, port = text.rpartition(":")
    packed = ipaddress.ip_address(host.strip("[]")).packed
    out.family = 4 if len(packed) == 4 else 6
    out.port = int(port)
    memcpy(out.at, <const char*><bytes>packed, len(packed))
    return 0

def trusts(networks, str peer):
    """Is a PROXY header expected from this peer, with this list of trusted networks?"""
    cdef Network nets[8]
    cdef Listener listener
    cdef Client client
    memset(&listener, 0, sizeof(listener))
    memset(&client, 0, sizeof(client))
    for i, network in enumerate(networks):
        nets[i].family = network.version
        nets[i].bits = network.prefixlen
        memcpy(nets[i].at, <const char*><bytes>network.network_address.packed, 16 if network.version == 6 else 4)
    listener.trusted = nets
    listener.n_trusted = len(networks)
    set_address(&client.peer, peer)
    return bool(front_trusts(&listener, &client))

def near(str peer, str local):
    """Is a peer on this node, where it reached this address? "": a unix socket, or none that is known."""
    cdef ProxyAddress addresses[2]
    memset(addresses, 0, sizeof(addresses))
    for i, text in enumerate((peer, local)):
        if text:
            set_address(&addresses[i], text)
    return bool(front_near(&addresses[0], &addresses[1]))

def address_text(str address):
    """An IP address as the access log and the forwarded headers show it."""
    cdef char out[46]
    cdef ProxyAddress parsed
    set_address(&parsed, f"[{address}]:0" if ":" in address else f"{address}:0")
    return out[:ip_text(out, parsed.family, parsed.at)].decode()
