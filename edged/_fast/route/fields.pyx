"""Fields of a head that has been written. See fields.pxd.

What is written ends where `out` ends, so a value is made there in place: the raw text first, then each converter over it.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memchr, memmove

from edged._fast.base.view cimport View, view, view_is_nocase
from edged._fast.parse.framing cimport is_gap
from edged._fast.parse.known cimport is_alias
from edged._fast.route.out cimport Out, lower, put_view, room_for, say
from edged._fast.route.table cimport PART_CERTIFICATE, PART_ESCAPE, PART_FIELD, PART_LITERAL, PART_QUOTE, Action, Part, Table, table_text

# ---- lines -----------------------------------------------------------------------------------------------------------

cdef inline View line_at(const char* at, const char* end) noexcept nogil:
    """With its line end."""
    cdef const char* feed = <const char*>memchr(at, c"\n", end - at)
    return view(at, (feed + 1 if feed != NULL else end) - at)

cdef inline bint is_field(View line, View name) noexcept nogil:
    return line.n > name.n and line.at[name.n] == c":" and view_is_nocase(name, line.at, name.n)

cdef inline bint is_alias_field(View line, View name) noexcept nogil:
    """`name` is in lower case."""
    return line.n > name.n and line.at[name.n] == c":" and is_alias(line.at, name.at, name.n)

cdef inline void delete_lines(Out* out, size_t first, View name, bint aliases) noexcept nogil:
    cdef char* to = out.start + first
    cdef const char* at = to
    cdef View line
    while at < out.at:
        line = line_at(at, out.at)
        at += line.n
        if is_alias_field(line, name) if aliases else is_field(line, name):
            continue
        if to != line.at:
            memmove(to, line.at, line.n)
        to += line.n
    out.at = to

cdef void fields_delete(Out* out, size_t first, View name) noexcept nogil:
    delete_lines(out, first, name, False)

cdef void fields_replace(Out* out, size_t first, View lines) noexcept nogil:
    cdef const char* at = lines.at
    cdef const char* colon
    cdef View line
    while at < lines.at + lines.n:
        line = line_at(at, lines.at + lines.n)
        at += line.n
        colon = <const char*>memchr(line.at, c":", line.n)
        if colon != NULL:
            delete_lines(out, first, view(line.at, colon - line.at), True)
    put_view(out, lines)

cdef inline View value_of(View line, size_t name_n) noexcept nogil:
    cdef const char* at = line.at + name_n + 1
    cdef const char* end = line.at + line.n
    while at < end and is_gap(at[0]):
        at += 1
    while at < end and (is_gap((end - 1)[0]) or (end - 1)[0] == c"\r" or (end - 1)[0] == c"\n"):
        end -= 1
    return view(at, end - at)

cdef View last_element(View value) noexcept nogil:
    """Behind the last comma that stands outside of quotes."""
    cdef size_t i = 0, start = 0
    cdef bint quoted = False
    while i < value.n:
        if value.at[i] == c'"':
            quoted = not quoted
        elif value.at[i] == c"\\" and quoted:
            i += 1
        elif value.at[i] == c"," and not quoted:
            start = i + 1
        i += 1
    while start < value.n and is_gap(value.at[start]):
        start += 1
    return view(value.at + start, value.n - start)

cdef View last_value(const char* at, const char* end, View name) noexcept nogil:
    cdef View line, found = view(NULL, 0)
    while at < end:
        line = line_at(at, end)
        at += line.n
        if is_field(line, name):
            found = value_of(line, name.n)
    return last_element(found) if found.at != NULL else found

cdef View fields_last(const Out* out, size_t first, View name) noexcept nogil:
    return last_value(out.start + first, out.at, name)

# ---- values ----------------------------------------------------------------------------------------------------------

cdef const char* LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

cdef void to_base64(Out* out, size_t start) noexcept nogil:
    """From the last three bytes to the first, so that nothing is overwritten before it is read."""
    cdef size_t n = out.at - (out.start + start), i = (n + 2) // 3
    cdef uint8_t* at
    cdef uint8_t a, b, c
    if room_for(out, i * 4 - n) == NULL:
        return
    at = <uint8_t*>out.start + start
    while i:
        i -= 1
        a = at[3 * i]
        b = at[3 * i + 1] if 3 * i + 1 < n else 0
        c = at[3 * i + 2] if 3 * i + 2 < n else 0
        at[4 * i + 3] = LETTERS[c & 63] if 3 * i + 2 < n else c"="
        at[4 * i + 2] = LETTERS[(b & 15) << 2 | c >> 6] if 3 * i + 1 < n else c"="
        at[4 * i + 1] = LETTERS[(a & 3) << 4 | b >> 4]
        at[4 * i] = LETTERS[a >> 2]

cdef inline bint wants_escape(char c) noexcept nogil:
    return c == c'"' or c == c"\\" or c == c"]"

cdef void escape(Out* out, size_t start) noexcept nogil:
    cdef size_t n = out.at - (out.start + start), more = 0, i
    cdef char* at
    for i in range(n):
        more += wants_escape(out.start[start + i])
    if more == 0 or room_for(out, more) == NULL:
        return
    at = out.start + start
    i = n
    while more:
        i -= 1
        at[i + more] = at[i]
        if wants_escape(at[i]):
            more -= 1
            at[i + more] = c"\\"

cdef void quote(Out* out, size_t start) noexcept nogil:
    cdef size_t n = out.at - (out.start + start)
    if room_for(out, 2) == NULL:
        return
    memmove(out.start + start + 1, out.start + start, n)
    out.start[start] = c'"'
    out.start[start + n + 1] = c'"'

cdef inline bint is_control(char c) noexcept nogil:
    return (<uint8_t>c < 0x20 and c != c"\t") or c == 0x7F

cdef void spell_controls(Out* out, size_t start) noexcept nogil:
    """%XX for what must not stand in a field's value, as HAProxy writes it."""
    cdef const char* digits = b"0123456789ABCDEF"
    cdef size_t n = out.at - (out.start + start), more = 0, i
    cdef char* at
    for i in range(n):
        more += 2 * is_control(out.start[start + i])
    if more == 0 or room_for(out, more) == NULL:
        return
    at = out.start + start
    i = n
    while more:
        i -= 1
        if is_control(at[i]):
            at[i + more] = digits[at[i] & 15]
            at[i + more - 1] = digits[<uint8_t>at[i] >> 4]
            at[i + more - 2] = c"%"
            more -= 2
        else:
            at[i + more] = at[i]

cdef inline View raw_value(View fields, View certificate, const Table* table, const Part* part, View converters) noexcept nogil:
    """Before it is converted. Only base64 takes a certificate's bytes as they are: to all else it is a text, which a zero byte ends."""
    cdef const char* zero = NULL
    if part.kind == PART_FIELD:
        return last_value(fields.at, fields.at + fields.n, table_text(table, part.text))
    if certificate.n and (converters.n == 0 or converters.at[0] != c"b"):
        zero = <const char*>memchr(certificate.at, 0, certificate.n)
    return view(certificate.at, zero - certificate.at) if zero != NULL else certificate

cdef void put_part(Out* out, View fields, View certificate, const Table* table, const Part* part) noexcept nogil:
    cdef size_t start = out.at - out.start
    cdef View converters = table_text(table, part.converters)
    cdef size_t i
    if part.kind == PART_LITERAL:
        put_view(out, table_text(table, part.text))
        return
    put_view(out, raw_value(fields, certificate, table, part, converters))
    for i in range(converters.n):
        if converters.at[i] == c"l":
            lower(out.start + start, view(out.start + start, out.at - (out.start + start)))
        else:
            to_base64(out, start)
    if part.kind == PART_CERTIFICATE:
        spell_controls(out, start)
    if part.flags & PART_ESCAPE:
        escape(out, start)
    if part.flags & PART_QUOTE:
        quote(out, start)

cdef void put_set(Out* out, size_t first, const Table* table, const Action* action, View certificate) noexcept nogil:
    """The new line is made while those that it replaces are still there to be asked."""
    cdef const Part* parts = <const Part*>(table.at + action.parts)
    cdef size_t n, start = out.at - out.start
    cdef View fields = view(out.start + first, start - first)
    cdef uint32_t i
    put_view(out, table_text(table, action.name))
    say(out, b": ")
    put_view(out, table_text(table, action.value))
    for i in range(action.n_parts):
        put_part(out, fields, certificate, table, &parts[i])
    say(out, b"\r\n")
    if out.full:
        return
    n = out.at - (out.start + start)
    out.at -= n
    fields_delete(out, first, table_text(table, action.name))
    memmove(out.at, out.start + start, n)
    out.at += n

cdef void fields_act(Out* out, size_t first, const Table* table, const Action* actions, uint32_t n, View certificate) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        if out.full:
            return
        if actions[i].value.at:
            put_set(out, first, table, &actions[i], certificate)
        else:
            fields_delete(out, first, table_text(table, actions[i].name))
