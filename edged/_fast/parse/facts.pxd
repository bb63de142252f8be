# What the fields of a head say together: persistence, framing, upgrades, and whether Host and target agree.

from libc.stdint cimport uint32_t, uint64_t
from edged._fast.base.status cimport DONE, Status
from edged._fast.base.view cimport View, unlikely, view, view_is_nocase
from edged._fast.parse.authority cimport Authority, authority_read, authority_same
from edged._fast.parse.framing cimport CODING_CHUNKED, CODING_OTHER, CODING_WRONG, next_element, read_codings, read_length
from edged._fast.parse.head cimport (
    FIELD_FOLDED, FIELD_HOP, Field, HEAD_ABSOLUTE, HEAD_CHUNKED, HEAD_CLOSE, HEAD_CONNECTION_NAMES, HEAD_EXPECT_CONTINUE,
    HEAD_FOLDED, HEAD_KEEP_ALIVE, HEAD_LENGTH, HEAD_PRIVATE_AUTH, HEAD_TRAILERS_OK, HEAD_UPGRADE, HEAD_WEBSOCKET, Head,
    KNOWN_CONNECTION, KNOWN_CONTENT_LENGTH, KNOWN_EXPECT, KNOWN_HOST, KNOWN_NONE, KNOWN_SEC_WEBSOCKET_KEY, KNOWN_TE,
    KNOWN_TRANSFER_ENCODING, KNOWN_UPGRADE, KNOWN_WWW_AUTHENTICATE, VERB_CONNECT, head_refuse,
)
from edged._fast.parse.scan cimport token_end, view_is_word

cdef enum:
    NAMES_MOST = 64              # fields that Connection may name: each is sought among all fields
    WEBSOCKET_KEY_BYTES = 24

cdef struct Facts:               # gathered over the fields, before they are judged together
    View host
    uint32_t hosts
    uint32_t codings             # Coding bits; 0: no Transfer-Encoding
    uint32_t names               # fields that Connection names
    uint32_t keys                # good Sec-WebSocket-Key fields; two of them are none
    bint asks_upgrade            # Connection: upgrade
    bint upgrade                 # an Upgrade field is there ...
    bint h2c                     # ... and names h2c
    bint websocket

cdef enum Option:                # what an element of Connection is
    OPTION_NONE                  # nothing between two commas
    OPTION_KEEP_ALIVE
    OPTION_CLOSE
    OPTION_UPGRADE
    OPTION_NAME                  # of a field

cdef inline Option option_of(View element) noexcept nogil:
    if view_is_word(element, "keep-alive", 10): return OPTION_KEEP_ALIVE
    if view_is_word(element, "close", 5): return OPTION_CLOSE
    if view_is_word(element, "upgrade", 7): return OPTION_UPGRADE
    return OPTION_NAME if element.n else OPTION_NONE

cdef inline Status read_connection(Head* out, Facts* facts, View value) noexcept nogil:
    cdef View element
    cdef Option option
    while next_element(&value, &element):
        option = option_of(element)
        if option == OPTION_KEEP_ALIVE:
            out.flags |= HEAD_KEEP_ALIVE
        elif option == OPTION_CLOSE:
            out.flags |= HEAD_CLOSE
        elif option == OPTION_UPGRADE:
            facts.asks_upgrade = True
        elif option == OPTION_NAME:
            facts.names += 1
            if facts.names > NAMES_MOST:
                return head_refuse(out, 400, "Connection names too many fields")
    return DONE

cdef inline void read_upgrade(Facts* facts, View value) noexcept nogil:
    cdef View element
    while next_element(&value, &element):
        facts.upgrade |= element.n > 0
        facts.websocket |= view_is_word(element, "websocket", 9)
        if element.n >= 3 and view_is_word(view(element.at, 3), "h2c", 3) and (element.n == 3 or element.at[3] == c'/'):
            facts.h2c = True

cdef inline bint has_element(View value, const char* word, size_t n) noexcept nogil:
    cdef View element
    while next_element(&value, &element):
        if view_is_word(element, word, n):
            return True
    return False

cdef inline bint is_of_connection(View value) noexcept nogil:
    """Does a WWW-Authenticate offer a scheme that authenticates the connection, not the request?"""
    cdef View element, scheme
    while next_element(&value, &element):
        scheme = view(element.at, token_end(element.at, element.at + element.n) - element.at)
        if view_is_word(scheme, "negotiate", 9) or view_is_word(scheme, "ntlm", 4):
            return True
    return False

cdef inline Status read_field_length(Head* out, Field* field) noexcept nogil:
    cdef uint64_t length
    if not read_length(&field.value, &length):
        return head_refuse(out, 400, "Content-Length is no number")
    if out.flags & HEAD_LENGTH:
        if length != out.length:
            return head_refuse(out, 400, "different Content-Lengths")
        field.flags |= FIELD_HOP
    out.length = length
    out.flags |= HEAD_LENGTH
    return DONE

cdef inline Status gather(Head* out, Facts* facts) noexcept nogil:
    cdef Field* field
    cdef uint32_t i
    cdef Status status = DONE
    facts.hosts = facts.codings = facts.names = facts.keys = 0
    facts.asks_upgrade = facts.upgrade = facts.h2c = facts.websocket = False
    for i in range(out.n):
        field = &out.fields[i]
        if field.known == KNOWN_NONE:
            continue
        elif field.known == KNOWN_HOST:
            facts.hosts += 1
            facts.host = field.value
        elif field.known == KNOWN_CONTENT_LENGTH:
            status = read_field_length(out, field)
        elif field.known == KNOWN_TRANSFER_ENCODING:
            facts.codings = read_codings(field.value, facts.codings)
        elif field.known == KNOWN_CONNECTION:
            status = read_connection(out, facts, field.value)
        elif field.known == KNOWN_UPGRADE:
            read_upgrade(facts, field.value)
        elif field.known == KNOWN_EXPECT:
            if out.minor and view_is_word(field.value, "100-continue", 12): out.flags |= HEAD_EXPECT_CONTINUE
        elif field.known == KNOWN_TE:
            if has_element(field.value, "trailers", 8): out.flags |= HEAD_TRAILERS_OK
        elif field.known == KNOWN_SEC_WEBSOCKET_KEY:
            facts.keys += 1 if field.value.n == WEBSOCKET_KEY_BYTES and not field.flags & FIELD_FOLDED else 2
        elif field.known == KNOWN_WWW_AUTHENTICATE:
            if is_of_connection(field.value): out.flags |= HEAD_PRIVATE_AUTH
        if unlikely(status != DONE):
            return status
    return DONE

cdef inline bint is_framing(const Field* field) noexcept nogil:
    return field.known == KNOWN_HOST or field.known == KNOWN_CONTENT_LENGTH or field.known == KNOWN_TRANSFER_ENCODING

cdef inline Status refuse_folded_framing(Head* out) noexcept nogil:
    """Folded lines are read differently here and there: no fact that others depend on may stand in one."""
    cdef uint32_t i
    for i in range(out.n):
        if out.fields[i].flags & FIELD_FOLDED and is_framing(&out.fields[i]):
            return head_refuse(out, 400, "a framing field is folded")
    return DONE

cdef inline void mark_named(Head* out) noexcept nogil:
    """FIELD_HOP for what the Connection fields name."""
    cdef uint32_t i, k
    cdef View rest, element
    for i in range(out.n):
        if out.fields[i].known != KNOWN_CONNECTION:
            continue
        rest = out.fields[i].value
        while next_element(&rest, &element):
            if option_of(element) != OPTION_NAME:
                continue
            for k in range(out.n):
                if view_is_nocase(element, out.fields[k].name.at, out.fields[k].name.n) and not is_framing(&out.fields[k]):
                    out.fields[k].flags |= FIELD_HOP
                    out.flags |= HEAD_CONNECTION_NAMES

cdef inline Status settle(Head* out, Facts* facts) noexcept nogil:
    """What requests and responses have in common."""
    cdef Status status
    if unlikely(out.flags & HEAD_FOLDED):
        status = refuse_folded_framing(out)
        if status != DONE: return status
    status = gather(out, facts)
    if unlikely(status != DONE):
        return status
    if out.flags & HEAD_CLOSE:
        out.flags &= ~<uint32_t>HEAD_KEEP_ALIVE
    if facts.asks_upgrade and facts.upgrade and not facts.h2c and out.minor:
        out.flags |= HEAD_UPGRADE | (HEAD_WEBSOCKET if facts.websocket else 0)
    if facts.names:
        mark_named(out)
    if facts.codings:
        if facts.codings & CODING_WRONG or not facts.codings & CODING_CHUNKED:
            return head_refuse(out, 400, "Transfer-Encoding does not end in chunked, once")
        if not out.minor:
            return head_refuse(out, 400, "Transfer-Encoding on HTTP/1.0")
        if facts.codings & CODING_OTHER:
            return head_refuse(out, 422, "a transfer coding other than chunked")
        out.flags |= HEAD_CHUNKED
    return DONE

cdef inline int default_port(View target) noexcept nogil:
    if target.n >= 7 and view_is_word(view(target.at, 7), "http://", 7): return 80
    return 443 if target.n >= 8 and view_is_word(view(target.at, 8), "https://", 8) else -1

cdef inline Status compare_authority(Head* out, const Authority* host) noexcept nogil:
    """The target names an authority itself: it must be a good one, and equal to Host. `host` is NULL on HTTP/1.0 without it."""
    cdef Authority asked
    if not authority_read(&asked, out.authority) or asked.host.n == 0:
        return head_refuse(out, 400, "the authority of the target is none")
    if out.verb == VERB_CONNECT and asked.port < 0:
        return head_refuse(out, 400, "CONNECT without a port")
    if host != NULL and not authority_same(&asked, host, default_port(out.target) if out.flags & HEAD_ABSOLUTE else -1):
        return head_refuse(out, 400, "the target's authority and Host differ")
    return DONE
