"""Answers of our own. All but the detail is made when the module is imported, so that answering is copying."""

import json
from html import escape

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memchr, memcmp

from edged._fast.base.view cimport View, view, view_is_nocase
from edged._fast.parse.framing cimport is_gap
from edged._fast.parse.head cimport KNOWN_ACCEPT, Head
from edged._fast.route.out cimport Out, out_begin, out_end, put, put_lower, put_number, put_view, say

cdef extern from "<string.h>" nogil:
    void* memmem(const void* hay, size_t n, const void* needle, size_t m)

cdef enum:
    DETAIL_MOST = 200            # bytes of it that are shown
    STATUS_FIRST = 200
    STATUS_LAST = 599
    RANGES_MOST = 64             # media ranges of Accept that are looked at
    SERVER_ERROR = 500           # is answered instead of statuses that have no page

# Reasons are HAProxy's words (http-edge-behaviour.md 11): parsers of logs and monitors know them.
cdef dict PAGES = {
    200: ("OK", "Service ready."),
    400: ("Bad request", "The request could not be understood."),
    401: ("Unauthorized", "You need to sign in to see this."),
    403: ("Forbidden", "You are not allowed to see this."),
    404: ("Not Found", "There is nothing at this address."),
    405: ("Method Not Allowed", "This address does not take requests of that kind."),
    407: ("Proxy Authentication Required", "You need to sign in at the proxy first."),
    408: ("Request Time-out", "The request took too long to arrive."),
    410: ("Gone", "What was here has been removed for good."),
    413: ("Payload Too Large", "What was sent is larger than this site takes."),
    414: ("URI Too Long", "The address is longer than this site takes."),
    421: ("Misdirected Request", "This request belongs to another server."),
    422: ("Unprocessable Content", "The request was understood but cannot be processed."),
    425: ("Too Early", "The request came before the connection was ready for it. Please try again."),
    429: ("Too Many Requests", "There were too many requests in a short time. Please wait a moment."),
    431: ("Request Header Fields Too Large", "The headers of the request are larger than this site takes."),
    500: ("Internal Server Error", "Something went wrong on our side."),
    501: ("Not Implemented", "This server does not know what was asked of it."),
    502: ("Bad Gateway", "The application gave an answer that could not be understood."),
    503: ("Service Unavailable", "The application is not available right now. Please try again in a moment."),
    504: ("Gateway Time-out", "The application did not answer in time."),
    505: ("HTTP Version Not Supported", "This server does not speak that version of HTTP."),
}

# What a status owes beyond the fields that all answers have.
cdef dict FIELDS = {
    401: 'www-authenticate: Basic realm="edged"\r\n',
    405: "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
    407: 'proxy-authenticate: Basic realm="edged"\r\n',
    503: "pragma: no-cache\r\n",
}

cdef str PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    "<title>{status} {reason}</title><style>"
    ":root{{color-scheme:light dark;--ink:#1d2433;--dim:#6a7386;--paper:#f4f5f8;--card:#fff;--edge:#e1e4ea;--mark:#3457d5}}"
    "@media(prefers-color-scheme:dark){{:root{{--ink:#e8eaf0;--dim:#969fb2;--paper:#12151c;--card:#1a1e27;--edge:#2a303c;--mark:#8aa4ff}}}}"
    "body{{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);"
    "font:16px/1.6 system-ui,-apple-system,'Segoe UI',sans-serif}}"
    "main{{box-sizing:border-box;width:min(30rem,calc(100% - 2rem));padding:2.25rem 2.5rem;background:var(--card);"
    "border:1px solid var(--edge);border-radius:14px}}"
    "b{{font-size:.85rem;letter-spacing:.08em;color:var(--mark)}}h1{{margin:.15rem 0 .6rem;font-size:1.5rem;line-height:1.25}}"
    "p{{margin:0}}small{{display:block;margin-top:1.4rem;padding-top:1rem;border-top:1px solid var(--edge);color:var(--dim)}}"
    "small:empty{{display:none}}</style></head><body><main><b>{status}</b><h1>{reason}</h1><p>{sentence}</p><small>"
)
cdef str PAGE_END = "</small></main></body></html>\n"

cdef struct Page:                # views of bytes that PARTS holds for ever
    View head                    # to "content-length: ", which comes last of the fields that do not change
    View start                   # of the body, before the detail
    View end
    View detail                  # shown where the caller has none

cdef struct Answer:
    Page html
    Page json
    View raw                     # an operator's error file; n == 0: none

cdef Answer[STATUS_LAST - STATUS_FIRST + 1] ANSWERS
cdef list PARTS = []

cdef View kept(str text):
    cdef bytes part = text.encode()
    PARTS.append(part)
    return view(part, len(part))

cdef int prepare(uint16_t status, str reason, str sentence) except -1:
    cdef Answer* answer = &ANSWERS[status - STATUS_FIRST]
    top = f"HTTP/1.1 {status} {reason}\r\n{FIELDS.get(status, '')}cache-control: no-cache\r\n"
    answer.html.head = kept(f"{top}content-type: text/html\r\ncontent-length: ")
    answer.html.start = kept(PAGE.format(status=status, reason=escape(reason), sentence=escape(sentence)))
    answer.html.end = kept(PAGE_END)
    answer.json.head = kept(f"{top}content-type: application/json\r\ncontent-length: ")
    answer.json.start = kept(f'{{"status":{status},"error":{json.dumps(reason)},"detail":"')
    answer.json.end = kept('"}\n')
    answer.json.detail = kept(sentence)
    return 0

def _prepare_all():
    for status, (reason, sentence) in PAGES.items():
        prepare(status, reason, sentence)

_prepare_all()
del _prepare_all

# ---- error answers ---------------------------------------------------------------------------------------------------

cdef inline const char* escaped(char c, bint json) noexcept nogil:
    """What stands for the byte; NULL: itself. Control characters become blanks in either form."""
    if <unsigned char>c < 0x20 or c == 0x7F:
        return b" "
    if json:
        if c == c"\"": return b"\\\""
        if c == c"\\": return b"\\\\"
        return NULL
    if c == c"<": return b"&lt;"
    if c == c">": return b"&gt;"
    if c == c"&": return b"&amp;"
    return NULL

cdef void put_detail(Out* out, View detail, bint json) noexcept nogil:
    cdef size_t i
    cdef const char* instead
    for i in range(detail.n):
        # Only what is ASCII: a text cut or made by others might else be no UTF-8.
        if <unsigned char>detail.at[i] >= 0x80:
            say(out, b"?")
            continue
        instead = escaped(detail.at[i], json)
        if instead == NULL:
            put(out, detail.at + i, 1)
        else:
            say(out, instead)

cdef inline void put_connection(Out* out, uint32_t flags) noexcept nogil:
    if flags & REPLY_CLOSE:
        say(out, b"connection: close\r\n")
    elif flags & REPLY_KEEP_ALIVE:
        say(out, b"connection: keep-alive\r\n")

cdef size_t put_raw(char* out, size_t room, View raw, bint head_only) noexcept nogil:
    cdef const char* blank = NULL
    cdef Out to = out_begin(out, room)
    if head_only:
        blank = <const char*>memmem(raw.at, raw.n, b"\r\n\r\n", 4)
    put(&to, raw.at, blank + 4 - raw.at if blank != NULL else raw.n)
    return out_end(&to)

cdef size_t reply_error(char* out, size_t room, uint16_t status, View detail, uint32_t flags) noexcept nogil:
    cdef const Answer* answer = answer_of(status)
    cdef const Page* page
    cdef char shown[DETAIL_MOST * 6]                         # each byte may need as many
    cdef Out text = out_begin(shown, sizeof(shown)), to = out_begin(out, room)
    if answer == NULL:
        answer = answer_of(SERVER_ERROR)
    page = &answer.json if flags & REPLY_JSON else &answer.html
    if answer.raw.n and answer.raw.n <= room:
        return put_raw(out, room, answer.raw, flags & REPLY_HEAD)
    if detail.n == 0:
        detail = page.detail
    put_detail(&text, view(detail.at, min(detail.n, <size_t>DETAIL_MOST)), flags & REPLY_JSON)
    put_view(&to, page.head)
    put_number(&to, page.start.n + out_end(&text) + page.end.n)
    say(&to, b"\r\n")
    put_connection(&to, flags)
    say(&to, b"\r\n")
    if not flags & REPLY_HEAD:
        put_view(&to, page.start)
        put(&to, shown, out_end(&text))
        put_view(&to, page.end)
    return out_end(&to)

cdef Answer* answer_of(uint16_t status) noexcept nogil:
    """NULL: no such status is answered."""
    if not STATUS_FIRST <= status <= STATUS_LAST or ANSWERS[status - STATUS_FIRST].html.head.n == 0:
        return NULL
    return &ANSWERS[status - STATUS_FIRST]

cdef void reply_install(uint16_t status, const char* at, size_t n) noexcept nogil:
    cdef Answer* answer = answer_of(status)
    if answer != NULL:
        answer.raw = view(at, n)

cdef bint reply_installed(uint16_t status) noexcept nogil:
    cdef const Answer* answer = answer_of(status)
    return answer != NULL and answer.raw.n != 0

cdef View reply_continue() noexcept nogil:
    return view(b"HTTP/1.1 100 Continue\r\n\r\n", 25)

# ---- redirects -------------------------------------------------------------------------------------------------------

cdef View without_port(View host) noexcept nogil:
    cdef size_t n = host.n
    while n and c"0" <= host.at[n - 1] <= c"9":
        n -= 1
    return view(host.at, n - 1) if n and host.at[n - 1] == c":" else host

cdef View without_authority(View target) noexcept nogil:
    """From the path on, for a target in absolute-form; without a path it begins with the query, or is empty."""
    cdef const char* at = <const char*>memmem(target.at, target.n, b"://", 3) if target.n else NULL
    cdef const char* end = target.at + target.n
    if at == NULL:
        return view(NULL, 0)
    at += 3
    while at < end and at[0] != c"/" and at[0] != c"?":
        at += 1
    return view(at, end - at)

cdef size_t reply_redirect(char* out, size_t room, View host, View target, uint32_t flags) noexcept nogil:
    cdef Out to = out_begin(out, room)
    if target.n == 0 or target.at[0] != c"/":
        target = without_authority(target)
    say(&to, b"HTTP/1.1 302 Found\r\ncache-control: no-cache\r\ncontent-length: 0\r\nlocation: https://")
    put_lower(&to, without_port(host))
    if target.n == 0 or target.at[0] != c"/":
        say(&to, b"/")
    put_view(&to, target)
    say(&to, b"\r\n")
    put_connection(&to, flags)
    say(&to, b"\r\n")
    return out_end(&to)

# ---- the monitor path ------------------------------------------------------------------------------------------------

cdef size_t reply_monitor(char* out, size_t room, bint allowed, uint32_t flags) noexcept nogil:
    cdef Out to = out_begin(out, room)
    if allowed:
        say(&to, b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n")
    else:
        say(&to, b"HTTP/1.1 405 Method Not Allowed\r\nallow: GET, HEAD\r\ncache-control: no-store\r\ncontent-length: 0\r\n")
    put_connection(&to, flags)
    say(&to, b"\r\n")
    if allowed and not flags & REPLY_HEAD:
        say(&to, b"OK\n")
    return out_end(&to)

# ---- what Accept prefers ---------------------------------------------------------------------------------------------

cdef struct Wish:                # the best weight of each sort, in thousandths; -1: not named
    int json
    int html
    int anything

cdef View cut(View* rest, char sign) noexcept nogil:
    """The next part up to `sign`, without the blanks around it; `rest` is what follows."""
    cdef const char* at = rest.at
    cdef const char* end = at + rest.n
    cdef const char* stop = at
    while stop < end and stop[0] != sign:
        stop += 1
    rest[0] = view(stop + 1, end - stop - 1) if stop < end else view(end, 0)
    while at < stop and is_gap(at[0]):
        at += 1
    while at < stop and is_gap((stop - 1)[0]):
        stop -= 1
    return view(at, stop - at)

cdef int weight_of(View parameters) noexcept nogil:
    """q in thousandths (RFC 9110 12.4.2): 1000 where none is given, 0 where it is no number."""
    cdef View part
    cdef int weight = 0, unit = 1000, digit
    cdef size_t i
    while parameters.n:
        part = cut(&parameters, c";")
        if part.n < 3 or part.at[0] | 0x20 != c"q" or part.at[1] != c"=":
            continue
        for i in range(2, min(part.n, <size_t>7)):
            if i == 3:
                continue         # the point
            digit = part.at[i] - c"0"
            if not 0 <= digit <= 9:
                return 0
            weight += digit * unit
            unit //= 10
        return min(weight, 1000)
    return 1000

cdef bint ends_in_json(View media) noexcept nogil:
    return media.n > 5 and view_is_nocase(view(media.at + media.n - 5, 5), b"+json", 5)

cdef void weigh(Wish* wish, View media, int weight) noexcept nogil:
    if view_is_nocase(media, b"application/json", 16) or view_is_nocase(media, b"application/*", 13) or ends_in_json(media):
        wish.json = max(wish.json, weight)
    elif view_is_nocase(media, b"text/html", 9) or view_is_nocase(media, b"application/xhtml+xml", 21) or (
            view_is_nocase(media, b"text/*", 6)):
        wish.html = max(wish.html, weight)
    elif view_is_nocase(media, b"*/*", 3):
        wish.anything = max(wish.anything, weight)

cdef inline bint speaks_of_json(View accept) noexcept nogil:
    """Asked of every request, and most of them do not: then nothing need be weighed."""
    return accept.n != 0 and (memchr(accept.at, c"j", accept.n) != NULL or memchr(accept.at, c"J", accept.n) != NULL
                              or memmem(accept.at, accept.n, b"n/*", 3) != NULL or memmem(accept.at, accept.n, b"N/*", 3) != NULL)

cdef bint may_want_json(const Head* head) noexcept nogil:
    cdef uint32_t i
    for i in range(head.n):
        if head.fields[i].known == KNOWN_ACCEPT and speaks_of_json(head.fields[i].value):
            return True
    return False

cdef bint reply_wants_json(const Head* head) noexcept nogil:
    cdef Wish wish
    cdef View rest, media, parameters
    cdef uint32_t i, ranges = 0
    if not may_want_json(head):
        return False
    wish.json = wish.html = wish.anything = -1
    for i in range(head.n):
        if head.fields[i].known != KNOWN_ACCEPT:
            continue
        rest = head.fields[i].value
        while rest.n and ranges < RANGES_MOST:
            ranges += 1
            parameters = cut(&rest, c",")
            media = cut(&parameters, c";")
            weigh(&wish, media, weight_of(parameters))
    if wish.html >= 0:
        return wish.json > wish.html
    return wish.json > 0 and wish.json >= wish.anything
