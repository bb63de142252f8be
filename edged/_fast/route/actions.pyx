"""Actions on headers to records of the table file. Their values are read once, here: the engine finds parts in order."""

import re

from libc.string cimport memcpy, memset

from edged._fast.route.table cimport (
    PART_CERTIFICATE, PART_ESCAPE, PART_FIELD, PART_LITERAL, PART_QUOTE, Action, Part, Text,
)

# Framing and the connection are never a route's business: actions on these fields have no effect.
cdef frozenset OURS = frozenset((
    "connection", "content-length", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
))
cdef dict CONVERTERS = {"lower": "l", "base64": "b"}

cdef object is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
cdef object parts_of = re.compile(
    r"(?P<literal>(?:[^%]|%%)+)"
    r"|%(?:\{(?P<flags>[+-]?[QXE](?:,[+-]?[QXE])*)\})?\[(?:(?P<side>req|res)\.hdr\((?P<field>[A-Za-z0-9-]+)\)|ssl_c_der)"
    r"(?P<converters>(?:,(?:lower|base64))*)\]"
).match

cdef inline void move(Text* text, uint32_t distance) noexcept nogil:
    if text.at:
        text.at += distance

cdef list read_parts(str value, bint response):
    """The matches that a value is made of."""
    cdef list parts = []
    cdef Py_ssize_t at = 0
    while at < len(value):
        match = parts_of(value, at)
        if match is None:
            raise ValueError(f"{value!r} cannot be a header's value: from its character {at + 1} on it is not understood")
        if match["side"] == ("req" if response else "res"):
            raise ValueError(f"{value!r}: there is no {match['side']}.hdr here")
        parts.append(match)
        at = match.end()
    return parts

cdef uint32_t flags_of(str written) except? 0:
    """X, hexadecimal, concerns numbers, and there are none."""
    cdef uint32_t flags = 0, flag
    for word in (written or "").split(","):
        flag = PART_QUOTE if word.endswith("Q") else PART_ESCAPE if word.endswith("E") else 0
        flags = flags & ~flag if word.startswith("-") else flags | flag
    return flags

cdef int write_part(Image image, Part* part, object match) except -1:
    memset(part, 0, sizeof(Part))
    if match["literal"] is not None:
        part.kind = PART_LITERAL
        part.text = image.text(match["literal"].replace("%%", "%"))
        return 0
    part.kind = PART_CERTIFICATE if match["field"] is None else PART_FIELD
    part.text = image.text(match["field"] or "")
    part.converters = image.text("".join([CONVERTERS[word] for word in match["converters"].split(",")[1:]]))
    part.flags = flags_of(match["flags"])
    return 0

cdef int write_value(Image image, Action* action, str value, bint response) except -1:
    cdef list parts = read_parts(value, response)
    cdef uint32_t i
    cdef Part part
    if all([match["literal"] is not None for match in parts]):
        action.value = image.text(value.replace("%%", "%"))
        return 0
    action.value = image.text("")
    action.n_parts = len(parts)
    action.parts = image.take(len(parts) * sizeof(Part))
    for i in range(action.n_parts):
        write_part(image, &part, parts[i])
        memcpy(image.at + action.parts + i * sizeof(Part), &part, sizeof(Part))
    return 0

cdef uint32_t write_actions(Image image, tuple actions, bint response, uint32_t* n) except? 0:
    cdef list effective = [wish for wish in actions if wish.name.lower() not in OURS]
    cdef Action action
    cdef uint32_t start, i
    n[0] = len(effective)
    if not effective:
        return 0
    start = image.take(len(effective) * sizeof(Action))
    for i in range(n[0]):
        memset(&action, 0, sizeof(action))
        if not is_token(effective[i].name):
            raise ValueError(f"{effective[i].name!r} cannot be a header")
        action.name = image.text(effective[i].name)
        if effective[i].value is not None:
            write_value(image, &action, effective[i].value, response)
        memcpy(image.at + start + i * sizeof(Action), &action, sizeof(action))
    return start

cdef bint are_evaluated(Image image, uint32_t start, uint32_t n) noexcept nogil:
    cdef const Action* actions = <const Action*>(image.at + start)
    cdef uint32_t i
    for i in range(n):
        if actions[i].n_parts:
            return True
    return False

cdef void move_actions(char* table, uint32_t* start, uint32_t n, uint32_t distance) noexcept nogil:
    cdef Action* action
    cdef Part* part
    cdef uint32_t i, k
    if n == 0:
        return
    start[0] += distance
    action = <Action*>(table + start[0])
    for i in range(n):
        move(&action[i].name, distance)
        move(&action[i].value, distance)
        if action[i].n_parts:
            action[i].parts += distance
            part = <Part*>(table + action[i].parts)
            for k in range(action[i].n_parts):
                move(&part[k].text, distance)
                move(&part[k].converters, distance)
