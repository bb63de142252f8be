"""Heads rewritten. Fields that stay lie side by side in the head that came, so they are copied in runs of whole lines."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from edged._fast.base.view cimport View, check, likely, unlikely, view, view_is_nocase, view_same
from edged._fast.parse.framing cimport next_element
from edged._fast.parse.head cimport (
    FIELD_FOLDED, FIELD_HOP, HEAD_ABSOLUTE, HEAD_CHUNKED, HEAD_LENGTH, HEAD_TRAILERS_OK, KNOWN_CONNECTION, KNOWN_CONTENT_LENGTH,
    KNOWN_COOKIE, KNOWN_EXPECT, KNOWN_FORWARDED, KNOWN_HOST, KNOWN_HTTP2_SETTINGS, KNOWN_KEEP_ALIVE, KNOWN_PROXY,
    KNOWN_PROXY_CONNECTION, KNOWN_SET_COOKIE, KNOWN_STRICT_TRANSPORT_SECURITY, KNOWN_TE, KNOWN_TRAILER, KNOWN_TRANSFER_ENCODING,
    KNOWN_UPGRADE, KNOWN_X_FORWARDED_ALIAS, KNOWN_X_FORWARDED_FOR, KNOWN_X_FORWARDED_HOST, KNOWN_X_FORWARDED_PORT,
    KNOWN_X_FORWARDED_PROTO, KNOWN_X_SSL, VERB_OPTIONS, Field, Head,
)
from edged._fast.route.cookies cimport next_cookie, sets_cookie, trimmed
from edged._fast.route.fields cimport fields_act, fields_delete, fields_last, fields_replace
from edged._fast.route.forwarded cimport forwarded_name, last_proto, put_parameter
from edged._fast.route.layout cimport Header
from edged._fast.route.out cimport Out, lower, out_begin, out_end, put, put_lower, put_number, put_view, room_for, say
from edged._fast.route.table cimport (
    FORWARDED_IF_NONE, FORWARDED_NEVER, FORWARDED_REPLACE, RECIPE_EVALUATE, Action, Recipe, Table, table_text,
)

cdef extern from "<string.h>" nogil:
    void* memmem(const void* hay, size_t n, const void* needle, size_t m)

cdef enum:
    UPGRADE_REQUIRED = 426       # the one final status whose Upgrade field tells the client something (RFC 9110 15.5.22)

cdef inline uint64_t bit(uint8_t known) noexcept nogil:
    return <uint64_t>1 << known

cdef struct Edit:                # one head on its way
    Out out
    const Head* head
    const Table* table
    const Recipe* recipe
    View certificate             # of the client, as DER
    const Action* actions
    uint32_t n_actions
    uint64_t drop                # bits of the Known fields that do not go on as they are
    uint64_t seen                # ... of those that went on
    const char* run              # lines that stay, not copied yet: from here ...
    const char* run_end          # ... to the end of the last one's value; NULL: none are waiting

# ---- fields that stay ------------------------------------------------------------------------------------------------

cdef inline void end_run(Edit* e) noexcept nogil:
    if e.run_end == NULL:
        return
    if likely(e.run_end[0] == c"\r"):
        put(&e.out, e.run, e.run_end - e.run + 2)
    else:                        # blanks behind the value, or a lone line feed, which we do not pass on
        put(&e.out, e.run, e.run_end - e.run)
        say(&e.out, b"\r\n")
    e.run_end = NULL

cdef void put_unfolded(Out* out, View value) noexcept nogil:
    cdef char* to = room_for(out, value.n)
    cdef size_t i
    if to != NULL:
        for i in range(value.n):
            to[i] = c" " if value.at[i] == c"\r" or value.at[i] == c"\n" else value.at[i]

cdef inline void put_line_of(Out* out, View name, View value) noexcept nogil:
    put_view(out, name)
    say(out, b": ")
    put_view(out, value)
    say(out, b"\r\n")

cdef void put_line(Edit* e, const Field* field) noexcept nogil:
    put_view(&e.out, field.name)
    say(&e.out, b": ")
    put_unfolded(&e.out, field.value)
    say(&e.out, b"\r\n")

cdef inline void keep(Edit* e, const Field* field) noexcept nogil:
    if unlikely(field.value.n == 0 or field.flags & FIELD_FOLDED):
        end_run(e)
        put_line(e, field)
        return
    if e.run_end == NULL or field.name.at != e.run_end + 2 or e.run_end[0] != c"\r":
        end_run(e)
        e.run = field.name.at
    e.run_end = field.value.at + field.value.n

# ---- actions of the route --------------------------------------------------------------------------------------------

cdef inline bint is_named(Edit* e, View name, uint32_t first) noexcept nogil:
    """Does an action from number `first` on name this field? Then what came is not sent on: set replaces, delete removes."""
    cdef uint32_t i
    for i in range(first, e.n_actions):
        if e.actions[i].name.n == name.n and view_is_nocase(name, e.table.at + e.actions[i].name.at, name.n):
            return True
    return False

cdef inline bint is_ours(Edit* e, const char* name, size_t n) noexcept nogil:
    return e.n_actions == 0 or not is_named(e, view(name, n), 0)

cdef void put_actions(Edit* e) noexcept nogil:
    cdef uint32_t i
    cdef View name
    for i in range(e.n_actions):
        name = table_text(e.table, e.actions[i].name)
        if e.actions[i].value.at and not is_named(e, name, i + 1):
            put_line_of(&e.out, name, table_text(e.table, e.actions[i].value))

# ---- cookies ---------------------------------------------------------------------------------------------------------

cdef View edit_cookie(const Head* head, View name) noexcept nogil:
    cdef View rest, pair, its
    cdef uint32_t i
    if name.n == 0:
        return view(NULL, 0)
    for i in range(head.n):
        if head.fields[i].known != KNOWN_COOKIE:
            continue
        rest = head.fields[i].value
        while next_cookie(&rest, &pair, &its):
            if view_same(its, name):
                its.at = <const char*>memchr(pair.at, c"=", pair.n) + 1
                return trimmed(its.at, pair.at + pair.n)
    return view(NULL, 0)

cdef void keep_cookies(Edit* e, const Field* field, View sticky) noexcept nogil:
    """All pairs but the sticky ones; the line goes if nothing is left of it."""
    cdef View rest = field.value, pair, its
    cdef bint begun = False
    if field.value.n == 0 or memmem(field.value.at, field.value.n, sticky.at, sticky.n) == NULL:
        keep(e, field)
        return
    end_run(e)
    while next_cookie(&rest, &pair, &its):
        if pair.n == 0 or view_same(its, sticky):
            continue
        if begun:
            say(&e.out, b"; ")
        else:
            put_view(&e.out, field.name)
            say(&e.out, b": ")
        begun = True
        put_unfolded(&e.out, pair)
    if begun:
        say(&e.out, b"\r\n")

# ---- the connection and framing --------------------------------------------------------------------------------------

cdef void keep_upgrade(Edit* e, const Field* field) noexcept nogil:
    """All protocols but h2c, which a proxy must not pass on."""
    cdef View rest = field.value, protocol
    cdef bint begun = False
    end_run(e)
    while next_element(&rest, &protocol):
        if protocol.n == 0 or view_is_nocase(protocol, b"h2c", 3):
            continue
        say(&e.out, b", " if begun else b"upgrade: ")
        begun = True
        put_unfolded(&e.out, protocol)
    if begun:
        say(&e.out, b"\r\n")

cdef inline void put_framing(Edit* e, bint chunked_too) noexcept nogil:
    if e.head.flags & HEAD_CHUNKED:
        if chunked_too:
            say(&e.out, b"transfer-encoding: chunked\r\n")
    elif e.head.flags & HEAD_LENGTH:
        say(&e.out, b"content-length: ")
        put_number(&e.out, e.head.length)
        say(&e.out, b"\r\n")

# ---- the target ------------------------------------------------------------------------------------------------------

cdef void put_rewritten(Edit* e, View path) noexcept nogil:
    """The path behind the route's own, behind the target of openshift-routes.md 9.4."""
    cdef View own = table_text(e.table, e.recipe.path), target = table_text(e.table, e.recipe.rewrite)
    if own.n > path.n or (own.n and memcmp(path.at, own.at, own.n) != 0):
        put_view(&e.out, path)
        return
    path = view(path.at + own.n, path.n - own.n)
    if target.at[target.n - 1] == c"#":
        put(&e.out, target.at, target.n - 1)
        return
    if target.n == 1 and path.n and path.at[0] == c"/":
        path = view(path.at + 1, path.n - 1)
    put_view(&e.out, target)
    put_view(&e.out, path)

cdef void put_target(Edit* e) noexcept nogil:
    """In origin-form, also where it came in absolute-form (RFC 9112 3.2.1); * and the form of CONNECT stay."""
    cdef const Head* head = e.head
    cdef View path = head.path, rest
    cdef const char* end = head.target.at + head.target.n
    if path.n:
        rest = view(path.at + path.n, end - (path.at + path.n))
    elif head.flags & HEAD_ABSOLUTE:
        rest.at = <const char*>memchr(head.target.at, c"?", head.target.n)
        rest.n = end - rest.at if rest.at != NULL else 0
        # An empty path means the server as a whole where OPTIONS asks, "/" everywhere else (RFC 9112 3.2.4).
        path = view(b"*" if head.verb == VERB_OPTIONS and rest.n == 0 else b"/", 1)
    else:
        put_view(&e.out, head.target)
        return
    if e.recipe.rewrite.n and path.at[0] == c"/":
        put_rewritten(e, path)
        put_view(&e.out, rest)
    elif head.path.n:
        put(&e.out, path.at, end - path.at)
    else:
        put_view(&e.out, path)
        put_view(&e.out, rest)

# ---- forwarded headers (openshift-routes.md 9.1) ---------------------------------------------------------------------

cdef inline void put_peer(Out* out, const Peer* peer) noexcept nogil:
    if peer.ip_n == 0:
        say(out, b"for=unknown")
    elif peer.v6:
        say(out, b"for=\"[")
        put(out, peer.ip, peer.ip_n)
        say(out, b"]\"")
    else:
        say(out, b"for=")
        put(out, peer.ip, peer.ip_n)

cdef inline void put_forwarded(Edit* e, const Peer* peer, View host, View proto) noexcept nogil:
    say(&e.out, b"forwarded: ")
    put_peer(&e.out, peer)
    if host.n:
        say(&e.out, b";host=")
        put_parameter(&e.out, host)
    say(&e.out, b";proto=")
    put_parameter(&e.out, proto)
    say(&e.out, b"\r\n")

cdef void put_all_forwarded(Edit* e, const Peer* peer, View host, View proto) noexcept nogil:
    """`proto`: the last X-Forwarded-Proto that is there."""
    cdef uint64_t have = e.seen if e.recipe.forwarded == FORWARDED_IF_NONE else 0
    if peer.ip_n and not have & bit(KNOWN_X_FORWARDED_FOR) and is_ours(e, b"x-forwarded-for", 15):
        say(&e.out, b"x-forwarded-for: ")
        put(&e.out, peer.ip, peer.ip_n)
        say(&e.out, b"\r\n")
    if host.n and not have & bit(KNOWN_X_FORWARDED_HOST) and is_ours(e, b"x-forwarded-host", 16):
        say(&e.out, b"x-forwarded-host: ")
        put_lower(&e.out, host)
        say(&e.out, b"\r\n")
    if peer.local_port and not have & bit(KNOWN_X_FORWARDED_PORT) and is_ours(e, b"x-forwarded-port", 16):
        say(&e.out, b"x-forwarded-port: ")
        put_number(&e.out, peer.local_port)
        say(&e.out, b"\r\n")
    if not have & bit(KNOWN_X_FORWARDED_PROTO):
        proto = view(b"https", 5) if peer.tls else view(b"http", 4)
        if is_ours(e, b"x-forwarded-proto", 17):
            say(&e.out, b"x-forwarded-proto: https\r\n" if peer.tls else b"x-forwarded-proto: http\r\n")
    if not have & bit(KNOWN_FORWARDED) and is_ours(e, b"forwarded", 9):
        put_forwarded(e, peer, host, proto)

# ---- requests --------------------------------------------------------------------------------------------------------

cdef inline void edit_begin(Edit* e, Out out, const Head* head, const Table* table, const Recipe* recipe,
                            View certificate) noexcept nogil:
    check(recipe != NULL)
    e.out = out
    e.certificate = certificate
    e.head, e.table, e.recipe = head, table, recipe
    e.seen = 0
    e.run = e.run_end = NULL

cdef inline uint64_t dropped_from_request(const Recipe* recipe, uint32_t flags) noexcept nogil:
    cdef uint64_t drop = (
        bit(KNOWN_CONNECTION) | bit(KNOWN_KEEP_ALIVE) | bit(KNOWN_PROXY_CONNECTION) | bit(KNOWN_TE) | bit(KNOWN_HTTP2_SETTINGS)
        | bit(KNOWN_CONTENT_LENGTH) | bit(KNOWN_TRANSFER_ENCODING) | bit(KNOWN_PROXY) | bit(KNOWN_X_SSL))
    if not flags & EDIT_UPGRADE:
        drop |= bit(KNOWN_UPGRADE)
    if flags & EDIT_DROP_EXPECT:
        drop |= bit(KNOWN_EXPECT)
    if recipe.forwarded == FORWARDED_REPLACE:
        drop |= (bit(KNOWN_X_FORWARDED_FOR) | bit(KNOWN_X_FORWARDED_HOST) | bit(KNOWN_X_FORWARDED_PORT)
                 | bit(KNOWN_X_FORWARDED_PROTO) | bit(KNOWN_X_FORWARDED_ALIAS) | bit(KNOWN_FORWARDED))
    elif recipe.forwarded == FORWARDED_IF_NONE:
        drop |= bit(KNOWN_X_FORWARDED_ALIAS)     # an endpoint would take it for the field that is there, or that we set
    return drop

cdef inline bint has_capital(View text) noexcept nogil:
    cdef size_t i
    cdef bint found = False
    for i in range(text.n):
        found |= <unsigned char>(text.at[i] - c"A") < 26
    return found

cdef inline void keep_host(Edit* e, const Field* field) noexcept nogil:
    if likely(not has_capital(field.value)):
        keep(e, field)
        return
    end_run(e)
    put_view(&e.out, field.name)
    say(&e.out, b": ")
    put_lower(&e.out, field.value)
    say(&e.out, b"\r\n")

cdef inline bint is_dropped(Edit* e, const Field* field) noexcept nogil:
    """Whatever is not has been seen."""
    if bit(field.known) & e.drop or (field.flags & FIELD_HOP and field.known != KNOWN_UPGRADE):
        return True
    if unlikely(e.n_actions) and is_named(e, field.name, 0):
        return True
    e.seen |= bit(field.known)
    return False

cdef inline void keep_request_fields(Edit* e) noexcept nogil:
    cdef const Field* field
    cdef View sticky = table_text(e.table, e.recipe.cookie_name)
    cdef uint32_t i
    for i in range(e.head.n):
        field = &e.head.fields[i]
        if is_dropped(e, field):
            continue
        if field.known == KNOWN_HOST:
            keep_host(e, field)
        elif field.known == KNOWN_UPGRADE:
            keep_upgrade(e, field)
        elif field.known == KNOWN_COOKIE and sticky.n:
            keep_cookies(e, field, sticky)
        else:
            keep(e, field)
    end_run(e)

cdef inline const Header* header_of(const Table* table) noexcept nogil:
    return <const Header*>table.at

cdef inline void put_extra(Edit* e, size_t first, const Extra* extra) noexcept nogil:
    if unlikely(extra != NULL):
        fields_delete(&e.out, first, extra.name)
        put_line_of(&e.out, extra.name, extra.value)

cdef inline void put_told(Edit* e, size_t first, View told) noexcept nogil:
    """What clients themselves say of certificates is gone by now, but where the operator lets it through."""
    if likely(told.n == 0):
        return
    if header_of(e.table).keep:
        fields_replace(&e.out, first, told)
    else:
        put_view(&e.out, told)

cdef void act_for_all(Edit* e, size_t first, View* host, View* proto) noexcept nogil:
    """The actions for all routes. What these leave decides about the forwarded headers, not what came."""
    cdef const Header* header = header_of(e.table)
    cdef uint8_t known
    fields_act(&e.out, first, e.table, <const Action*>(e.table.at + header.request_actions), header.n_request_actions, e.certificate)
    for known in range(KNOWN_FORWARDED, KNOWN_X_FORWARDED_PROTO + 1):
        if e.recipe.forwarded == FORWARDED_REPLACE:
            fields_delete(&e.out, first, forwarded_name(known))
        elif fields_last(&e.out, first, forwarded_name(known)).at != NULL:
            e.seen |= bit(known)
        else:
            e.seen &= ~bit(known)
    host[0] = fields_last(&e.out, first, view(b"host", 4))
    proto[0] = fields_last(&e.out, first, view(b"x-forwarded-proto", 17))

cdef size_t edit_request(char* out, size_t room, const Head* head, const Table* table, const Recipe* recipe,
                         const Peer* peer, uint32_t flags, const Extra* extra) noexcept nogil:
    cdef Edit e
    cdef const Header* header = header_of(table)
    cdef bint in_place = (extra != NULL or header.n_request_actions or recipe.flags & RECIPE_EVALUATE
                          or (peer.told.n and recipe.n_request_actions))
    cdef View host = head.authority, proto = view(NULL, 0)
    cdef size_t first
    edit_begin(&e, out_begin(out, room), head, table, recipe, peer.certificate)
    e.drop = dropped_from_request(recipe, flags)
    if unlikely(header.keep):
        e.drop &= ~bit(KNOWN_X_SSL)
    e.actions = <const Action*>(table.at + recipe.request_actions)
    e.n_actions = 0 if unlikely(in_place) else recipe.n_request_actions
    put_view(&e.out, head.method)
    say(&e.out, b" ")
    put_target(&e)
    say(&e.out, b" HTTP/1.1\r\n" if head.minor else b" HTTP/1.0\r\n")
    first = e.out.at - e.out.start
    keep_request_fields(&e)
    if unlikely(e.seen & bit(KNOWN_X_FORWARDED_PROTO)):
        proto = last_proto(head)
    put_extra(&e, first, extra)
    put_told(&e, first, peer.told)
    if unlikely(header.n_request_actions):
        act_for_all(&e, first, &host, &proto)
    if recipe.forwarded != FORWARDED_NEVER:
        put_all_forwarded(&e, peer, host, proto)
    put_framing(&e, True)
    if head.flags & HEAD_TRAILERS_OK:
        say(&e.out, b"te: trailers\r\n")
    if flags & EDIT_UPGRADE:
        say(&e.out, b"connection: upgrade\r\n")
    elif flags & EDIT_TO_CLOSE:
        say(&e.out, b"connection: close\r\n")
    elif head.minor == 0:
        say(&e.out, b"connection: keep-alive\r\n")
    if unlikely(in_place):
        fields_act(&e.out, first, table, e.actions, recipe.n_request_actions, e.certificate)
    else:
        put_actions(&e)
    say(&e.out, b"\r\n")
    return out_end(&e.out)

# ---- responses -------------------------------------------------------------------------------------------------------

cdef inline uint64_t dropped_from_response(const Recipe* recipe, uint32_t flags, bint upgrade, bint final) noexcept nogil:
    cdef uint64_t drop = (
        bit(KNOWN_CONNECTION) | bit(KNOWN_KEEP_ALIVE) | bit(KNOWN_PROXY_CONNECTION) | bit(KNOWN_CONTENT_LENGTH)
        | bit(KNOWN_TRANSFER_ENCODING))
    if not upgrade:
        drop |= bit(KNOWN_UPGRADE)
    if flags & EDIT_DECHUNK:
        drop |= bit(KNOWN_TRAILER)
    if recipe.hsts.n and final:
        drop |= bit(KNOWN_STRICT_TRANSPORT_SECURITY)
    return drop

cdef inline void keep_response_fields(Edit* e) noexcept nogil:
    cdef const Field* field
    cdef View sticky = table_text(e.table, e.recipe.cookie_name)
    cdef uint32_t i
    for i in range(e.head.n):
        field = &e.head.fields[i]
        if is_dropped(e, field):
            continue
        if field.known == KNOWN_UPGRADE:
            keep_upgrade(e, field)
        elif field.known != KNOWN_SET_COOKIE or sticky.n == 0 or not sets_cookie(field.value, sticky):
            keep(e, field)
    end_run(e)

cdef inline void put_response_connection(Edit* e, uint32_t flags) noexcept nogil:
    cdef bint upgrade = e.seen & bit(KNOWN_UPGRADE) != 0
    if flags & EDIT_SWITCH:
        say(&e.out, b"connection: upgrade\r\n")
    elif flags & EDIT_CLOSE:
        say(&e.out, b"connection: close, upgrade\r\n" if upgrade else b"connection: close\r\n")
    elif flags & EDIT_KEEP_ALIVE:
        say(&e.out, b"connection: keep-alive, upgrade\r\n" if upgrade else b"connection: keep-alive\r\n")
    elif upgrade:
        say(&e.out, b"connection: upgrade\r\n")

cdef inline void put_hsts(Edit* e) noexcept nogil:
    if e.recipe.hsts.n and is_ours(e, b"strict-transport-security", 25):
        say(&e.out, b"strict-transport-security: ")
        put_view(&e.out, table_text(e.table, e.recipe.hsts))
        say(&e.out, b"\r\n")

cdef inline void put_sticky(Edit* e, View cookie) noexcept nogil:
    if cookie.n and e.recipe.cookie_name.n:
        say(&e.out, b"set-cookie: ")
        put_view(&e.out, table_text(e.table, e.recipe.cookie_name))
        say(&e.out, b"=")
        put_view(&e.out, cookie)
        put_view(&e.out, table_text(e.table, e.recipe.cookie_tail))
        if is_ours(e, b"cache-control", 13):
            say(&e.out, b"\r\ncache-control: private\r\n")
        else:
            say(&e.out, b"\r\n")

cdef void act_on_response(Edit* e, size_t first, View cookie) noexcept nogil:
    """HSTS, the route's actions, then those for all routes, which win."""
    cdef const Header* header = header_of(e.table)
    put_hsts(e)
    fields_act(&e.out, first, e.table, e.actions, e.recipe.n_response_actions, e.certificate)
    fields_act(&e.out, first, e.table, <const Action*>(e.table.at + header.response_actions), header.n_response_actions, e.certificate)
    put_sticky(e, cookie)

cdef size_t edit_response(char* out, size_t room, const Head* head, const Table* table, const Recipe* recipe,
                          View cookie, View certificate, uint32_t flags) noexcept nogil:
    cdef Edit e
    cdef bint final = head.status >= 200 or flags & EDIT_SWITCH              # interim responses are nobody's to change
    cdef bint upgrade = flags & EDIT_SWITCH or head.status == UPGRADE_REQUIRED
    cdef const Header* header = header_of(table)
    cdef bint in_place = final and (header.n_response_actions or recipe.flags & RECIPE_EVALUATE)
    cdef size_t first
    edit_begin(&e, out_begin(out, room), head, table, recipe, certificate)
    e.drop = dropped_from_response(recipe, flags, upgrade, final)
    e.actions = <const Action*>(table.at + recipe.response_actions)
    e.n_actions = recipe.n_response_actions if final and likely(not in_place) else 0
    say(&e.out, b"HTTP/1.1 ")
    put_number(&e.out, head.status)
    say(&e.out, b" ")
    put_view(&e.out, head.reason)
    say(&e.out, b"\r\n")
    first = e.out.at - e.out.start
    keep_response_fields(&e)
    if not flags & EDIT_NO_FRAMING:
        put_framing(&e, not flags & EDIT_DECHUNK)
    put_response_connection(&e, flags)
    if unlikely(in_place):
        act_on_response(&e, first, cookie)
    elif final:
        put_hsts(&e)
        put_sticky(&e, cookie)
        put_actions(&e)
    say(&e.out, b"\r\n")
    return out_end(&e.out)
