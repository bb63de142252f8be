"""Model objects to records of the table file. The objects are only read by attribute: nothing of the model is imported here.

Control has checked them; what is checked once more is what could break the protocol on the wire, whoever made the object.
"""

import re
import socket
import sys
from urllib.parse import quote

from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from edged._fast.base.view cimport View, view
from edged._fast.route.actions cimport are_evaluated, move_actions, write_actions
from edged._fast.route.image cimport Image
from edged._fast.route.layout cimport GROUP_ANY, GROUP_EXACT, GROUP_NONE, GROUP_WILDCARD, Preface, host_hash
from edged._fast.route.table cimport (
    BACKEND_CHECK_NAME, BACKEND_SEND_SNI, BALANCE_FIRST, BALANCE_HDR, BALANCE_LEASTCONN, BALANCE_RANDOM, BALANCE_ROUNDROBIN,
    BALANCE_SOURCE, BALANCE_STATIC_RR, BALANCE_URI, BALANCE_URL_PARAM, FORWARDED_APPEND, FORWARDED_IF_NONE, FORWARDED_NEVER,
    FORWARDED_REPLACE, HASH_AVALANCHE, HASH_CONSISTENT, HASH_CRC32, HASH_DJB2, HASH_NONE, HASH_SDBM, HASH_WHOLE, HASH_WT6,
    RECIPE_ADJUST_CASE, RECIPE_EVALUATE, RECIPE_PASSTHROUGH, RECIPE_PLAIN, RECIPE_REDIRECT, RECIPE_REENCRYPT, RECIPE_TLS, RECIPE_WILDCARD,
    Backend, Endpoint, Recipe, Text,
)

cdef dict TERMINATIONS = {
    "none": RECIPE_PLAIN, "edge": RECIPE_TLS, "reencrypt": RECIPE_TLS | RECIPE_REENCRYPT, "passthrough": RECIPE_PASSTHROUGH,
}
cdef dict FORWARDED = {
    "append": FORWARDED_APPEND, "replace": FORWARDED_REPLACE, "if-none": FORWARDED_IF_NONE, "never": FORWARDED_NEVER,
}
cdef dict ALGORITHMS = {
    "roundrobin": BALANCE_ROUNDROBIN, "static-rr": BALANCE_STATIC_RR, "leastconn": BALANCE_LEASTCONN, "source": BALANCE_SOURCE,
    "uri": BALANCE_URI, "url_param": BALANCE_URL_PARAM, "hdr": BALANCE_HDR, "random": BALANCE_RANDOM, "first": BALANCE_FIRST,
}
cdef dict FUNCTIONS = {"sdbm": HASH_SDBM, "djb2": HASH_DJB2, "wt6": HASH_WT6, "crc32": HASH_CRC32, "none": HASH_NONE}

cdef object is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
cdef object is_server_name = re.compile(r"[0-9A-Za-z._-]{0,253}").fullmatch
cdef object is_cookie_value = re.compile(r"[!#-+\--:<-\[\]-~]*").fullmatch
cdef str IN_A_TARGET = "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~"         # printable, as it may stand in a request target

cdef Text no_text() noexcept:
    cdef Text nothing
    nothing.at = nothing.n = 0
    return nothing

cdef Text some_text(Image image, str text) except *:
    return image.text(text) if text else no_text()

cdef str token(str text, str what):
    if not is_token(text):
        raise ValueError(f"{text!r} cannot be {what}")
    return text

cdef uint32_t word(dict words, object text) except? 0:
    value = words.get(text)
    if value is None:
        raise ValueError(f"{str(text)!r} is none of {', '.join(words)}")
    return value

cdef uint32_t slot_of(object slots, str backend, str endpoint) except? 0:
    slot = slots.get((backend, endpoint))
    if slot is None:
        raise ValueError(f"{endpoint or backend} has no slot")
    return slot

# ---- one record ------------------------------------------------------------------------------------------------------

cdef uint32_t begin_record(Image image, size_t size) except 0:
    return image.take(sizeof(Preface) + size) + <uint32_t>sizeof(Preface)

cdef Preface* preface_of(Image image, uint32_t record) noexcept:
    return <Preface*>(image.at + record - sizeof(Preface))

cdef void end_record(Image image, uint32_t record, uint32_t hash) noexcept:
    cdef Preface* preface = preface_of(image, record)
    preface.bytes = <uint32_t>image.n - record + <uint32_t>sizeof(Preface)
    preface.hash = hash

cdef uint32_t copy_record(Image image, const char* old, uint32_t place) except 0:
    cdef const Preface* preface = <const Preface*>(old + place - sizeof(Preface))
    cdef uint32_t start = image.take(preface.bytes)
    memcpy(image.at + start, preface, preface.bytes)
    return start + <uint32_t>sizeof(Preface)

cdef inline void move(Text* text, uint32_t distance) noexcept nogil:
    if text.at:
        text.at += distance

# ---- recipes ---------------------------------------------------------------------------------------------------------

cdef uint32_t flags_of(object route) except? 0:
    cdef uint32_t flags = word(TERMINATIONS, route.termination)
    cdef object insecure = route.insecure
    if insecure == "Redirect" and flags != RECIPE_PLAIN:
        flags |= RECIPE_REDIRECT
    elif insecure == "Allow" and flags & RECIPE_TLS:
        flags |= RECIPE_PLAIN
    if route.wildcard:
        flags |= RECIPE_WILDCARD
    if route.adjust_case:
        flags |= RECIPE_ADJUST_CASE
    return flags

cdef uint32_t recipe_group(const char* table, const Recipe* recipe, View* host) noexcept nogil:
    cdef const char* dot
    host[0] = view(table + recipe.host.at, recipe.host.n)
    if host.n == 0:
        return GROUP_NONE
    if host.n == 1 and host.at[0] == c"*":
        host.n = 0
        return GROUP_ANY
    if recipe.flags & RECIPE_WILDCARD:
        dot = <const char*>memchr(host.at, c".", host.n)
        # QUIRK (openshift-routes.md 5.2): without a domain it is an exact host.
        if dot != NULL and dot + 1 < host.at + host.n:
            host.n = host.at + host.n - (dot + 1)
            host.at = dot + 1
            return GROUP_WILDCARD
    return GROUP_EXACT

cdef uint32_t group_hash(Image image, const Recipe* recipe) noexcept:
    cdef View host
    cdef uint32_t kind = recipe_group(image.at, recipe, &host)
    return host_hash(host, kind)

cdef str cookie_tail(object cookie):
    same_site = f"; SameSite={token(cookie.same_site, 'a SameSite')}" if cookie.same_site else ""
    return "; path=/; HttpOnly" + ("; Secure" if cookie.secure else "") + same_site

cdef str rewrite_of(str rewrite):
    """Ready to stand in a request line. A "#" at the end stays: it tells that the rest of the path is not to follow."""
    whole = rewrite.endswith("#")
    return quote(rewrite.rstrip("#") if whole else rewrite, safe=IN_A_TARGET).replace("#", "%23") + ("#" if whole else "")

cdef uint32_t write_recipe(Image image, object route) except 0:
    cdef Recipe recipe
    cdef uint32_t at = begin_record(image, sizeof(Recipe))
    memset(&recipe, 0, sizeof(recipe))
    recipe.flags = flags_of(route)
    # The host first: the look-up compares it right after it has read the recipe's group.
    recipe.host = some_text(image, route.host)
    recipe.key = some_text(image, route.key)
    recipe.path = some_text(image, route.path)
    if route.cookie is not None:
        recipe.cookie_name = image.text(token(route.cookie.name, "a cookie's name"))
        recipe.cookie_tail = image.text(cookie_tail(route.cookie))
    recipe.hsts = some_text(image, route.hsts)
    if route.rewrite:
        recipe.rewrite = image.text(rewrite_of(route.rewrite))
    recipe.forwarded = word(FORWARDED, route.forwarded)
    recipe.max_body_bytes = route.max_body_bytes
    recipe.request_actions = write_actions(image, route.request_headers, False, &recipe.n_request_actions)
    recipe.response_actions = write_actions(image, route.response_headers, True, &recipe.n_response_actions)
    if (are_evaluated(image, recipe.request_actions, recipe.n_request_actions)
            or are_evaluated(image, recipe.response_actions, recipe.n_response_actions)):
        recipe.flags |= RECIPE_EVALUATE
    memcpy(image.at + at, &recipe, sizeof(recipe))
    end_record(image, at, group_hash(image, &recipe))
    return at

cdef uint32_t copy_recipe(Image image, const char* old, uint32_t place) except 0:
    cdef uint32_t at = copy_record(image, old, place), distance = at - place
    cdef Recipe* recipe = <Recipe*>(image.at + at)
    if distance:
        move(&recipe.key, distance)
        move(&recipe.host, distance)
        move(&recipe.path, distance)
        move(&recipe.cookie_name, distance)
        move(&recipe.cookie_tail, distance)
        move(&recipe.hsts, distance)
        move(&recipe.rewrite, distance)
        move_actions(image.at, &recipe.request_actions, recipe.n_request_actions, distance)
        move_actions(image.at, &recipe.response_actions, recipe.n_response_actions, distance)
    return at

# ---- backends --------------------------------------------------------------------------------------------------------

cdef int32_t time_of(object value) except? -1:
    cdef int32_t time_ms
    if value is None:
        return -1
    time_ms = value
    if time_ms < 0:
        raise ValueError(f"{time_ms} ms is no time")
    return time_ms

cdef int set_times(Backend* backend, object timeouts) except -1:
    backend.connect_ms = time_of(timeouts.connect_ms)
    backend.server_ms = time_of(timeouts.server_ms)
    backend.client_ms = time_of(timeouts.client_ms)
    backend.queue_ms = time_of(timeouts.queue_ms)
    backend.tunnel_ms = time_of(timeouts.tunnel_ms)
    backend.server_fin_ms = time_of(timeouts.server_fin_ms)
    backend.client_fin_ms = time_of(timeouts.client_fin_ms)
    return 0

cdef int set_balance(Image image, Backend* backend, object balance) except -1:
    cdef bint header
    backend.algorithm = word(ALGORITHMS, balance.algorithm)
    header = backend.algorithm == BALANCE_HDR
    # HAProxy: the default function of a consistent hash is sdbm with avalanche (http-edge-behaviour.md 12.4).
    backend.hash_function = word(FUNCTIONS, balance.function or "sdbm")
    if balance.consistent:
        backend.hash_flags |= HASH_CONSISTENT
    if balance.avalanche or (balance.consistent and not balance.function):
        backend.hash_flags |= HASH_AVALANCHE
    if balance.whole:
        backend.hash_flags |= HASH_WHOLE
    backend.draws = balance.draws
    backend.hash_depth = balance.depth
    backend.hash_length = balance.length
    backend.hash_key = some_text(image, balance.key.lower() if header else balance.key)
    return 0

cdef int set_address(Image image, Endpoint* endpoint, str address, uint16_t port) except -1:
    cdef bytes packed
    endpoint.port = port
    if address.startswith("/"):
        endpoint.family = 1
        endpoint.path = image.text(address)
        if endpoint.path.n > 107:
            raise ValueError(f"the path {address!r} is too long for a unix socket")
        return 0
    endpoint.family = 6 if ":" in address else 4
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except OSError:
        raise ValueError(f"{address!r} is no address") from None
    if endpoint.family == 6:
        packed = int(family).to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + bytes(4) + packed + bytes(4)
    else:
        packed = int(family).to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + packed + bytes(8)
    endpoint.socket_bytes = len(packed)
    memcpy(endpoint.socket, <const char*>packed, len(packed))
    return 0

cdef int write_endpoint(Image image, Endpoint* out, object endpoint, uint32_t slot) except -1:
    cdef int weight = endpoint.weight
    if not 0 <= weight <= 256:
        raise ValueError(f"weight {weight} is not within 0 and 256")
    if not is_cookie_value(endpoint.cookie):
        raise ValueError(f"{endpoint.cookie!r} cannot be a cookie's value")
    if not is_server_name(endpoint.server_name):
        raise ValueError(f"{endpoint.server_name!r} cannot be the name of a server")
    out.slot = slot
    out.name = some_text(image, endpoint.name)
    out.server_name = some_text(image, endpoint.server_name)
    out.cookie = some_text(image, endpoint.cookie)
    out.weight = weight
    out.backup = endpoint.backup
    out.maxconn = endpoint.maxconn
    return set_address(image, out, endpoint.address, endpoint.port)

cdef int set_tls(Backend* out, object backend) except -1:
    if backend.trust is None:
        return 0
    out.trust = backend.trust.id
    if out.trust == 0:
        raise ValueError("no trust has the id 0")
    if backend.check_name:
        out.tls |= BACKEND_CHECK_NAME
    if backend.send_sni:
        out.tls |= BACKEND_SEND_SNI
    return 0

cdef int write_endpoints(Image image, Backend* out, object backend, object slots) except -1:
    cdef str name = backend.name
    cdef tuple endpoints = backend.endpoints
    cdef Endpoint endpoint
    cdef uint32_t i
    out.n = len(endpoints)
    out.endpoints = image.take(out.n * sizeof(Endpoint))
    for i in range(out.n):
        memset(&endpoint, 0, sizeof(endpoint))
        endpoint.id = i + 1
        write_endpoint(image, &endpoint, endpoints[i], slot_of(slots, name, endpoints[i].name))
        if not endpoint.backup:
            out.n_active += 1
            out.weight_total += endpoint.weight
        if endpoint.maxconn:
            out.limited = 1
        memcpy(image.at + out.endpoints + i * sizeof(Endpoint), &endpoint, sizeof(endpoint))
    return 0

cdef uint32_t write_backend(Image image, object backend, object slots) except 0:
    cdef Backend out
    cdef uint32_t at = begin_record(image, sizeof(Backend))
    memset(&out, 0, sizeof(out))
    if not 0 <= backend.send_proxy <= 2:
        raise ValueError(f"there is no PROXY protocol version {backend.send_proxy}")
    out.name = image.text(backend.name)
    out.slot = slot_of(slots, backend.name, "")
    set_times(&out, backend.timeouts)
    set_balance(image, &out, backend.balance)
    out.retries = backend.retries
    out.redispatch = backend.redispatch
    out.send_proxy = backend.send_proxy
    out.maxqueue = backend.maxqueue
    set_tls(&out, backend)
    write_endpoints(image, &out, backend, slots)
    memcpy(image.at + at, &out, sizeof(out))
    end_record(image, at, host_hash(view(image.at + out.name.at, out.name.n), GROUP_NONE))
    return at

cdef uint32_t copy_backend(Image image, const char* old, uint32_t place) except 0:
    cdef uint32_t at = copy_record(image, old, place), distance = at - place, i
    cdef Backend* backend = <Backend*>(image.at + at)
    cdef Endpoint* endpoint
    if distance:
        move(&backend.name, distance)
        move(&backend.hash_key, distance)
        backend.endpoints += distance
        endpoint = <Endpoint*>(image.at + backend.endpoints)
        for i in range(backend.n):
            move(&endpoint[i].name, distance)
            move(&endpoint[i].cookie, distance)
            move(&endpoint[i].path, distance)
            move(&endpoint[i].server_name, distance)
    return at
