"""Lines and ids of the operator's own. See format.pxd."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memset, strlen

from edged._fast.base.view cimport view
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.talk.address cimport ip_text
from edged._fast.talk.ink cimport (
    LOCAL_LENGTH, SPELL_IN_CAPTURE, SPELL_IN_NAME, SPELL_IN_TARGET, Second, put, put_char, put_hashed, put_hex, put_letter, put_millis,
    put_number, put_signed, second_at, spelling,
)
from edged._fast.talk.notes cimport (
    SIDE_COOKIE, SIDE_REQUEST, SIDE_RESPONSE, SIDE_SET_COOKIE, Capture, Notes, notes_capture,
)
from edged._fast.talk.told cimport told_value

cdef enum:
    ROOM = 64                    # enough for any number, date or address, with what is around it
    TARGET_MOST = 1023
    TOLD_MOST = 1024             # bytes of one text of a certificate

# The words of the text, in the order of Word.
WORDS = (
    "literal", "space", "ci", "cp", "fi", "fp", "si", "sp", "t", "tr", "T", "Tl", "trg", "trl", "Ts", "ms", "f", "ft", "b", "s", "ST", "B",
    "U", "TR", "Tq", "Tw", "Tc", "Tr", "Td", "Ta", "Tt", "Ti", "Th", "CC", "CS", "ts", "tsc", "ac", "fc", "bc", "sc", "rc", "sq", "bq", "hr",
    "hs", "hrl", "hsl", "r", "HM", "HU", "HP", "HQ", "HV", "ID", "rt", "lc", "query", "url", "captured", "sslc", "sslv", "ssl_fc", "ssl_fc_sni", "ssl_c_used",
    "ssl_c_verify", "ssl_c_serial", "ssl_c_version", "ssl_c_sha1", "ssl_c_s_dn", "ssl_c_s_dn_cn", "ssl_c_i_dn", "ssl_c_notbefore",
    "ssl_c_notafter",
)

cdef enum Word:
    W_LITERAL, W_SPACE, W_CI, W_CP, W_FI, W_FP, W_SI, W_SP, W_T, W_TR_DATE, W_GMT, W_LOCAL, W_TRG, W_TRL, W_TS_SECONDS, W_MS, W_F, W_FT, W_B, W_S
    W_STATUS, W_BYTES_OUT, W_BYTES_IN, W_TR, W_TQ, W_TW, W_TC, W_RESPONSE, W_TD, W_TA, W_TT, W_TI, W_TH, W_CC, W_CS, W_TERMINATION
    W_TERMINATION_COOKIES, W_AC, W_FC, W_BC, W_SC, W_RC, W_SQ, W_BQ, W_HR, W_HS, W_HRL, W_HSL, W_REQUEST, W_METHOD, W_URI, W_PATH, W_QUERY
    W_VERSION, W_ID, W_RT, W_LC, W_BARE_QUERY, W_URL, W_CAPTURED, W_CIPHER, W_TLS_VERSION, W_TLS, W_SNI, W_USED, W_VERIFY, W_SERIAL
    W_CERTIFICATE_VERSION, W_SHA1, W_SUBJECT, W_COMMON_NAME, W_ISSUER, W_NOT_BEFORE, W_NOT_AFTER

cdef struct Pen:
    char* to
    char* end
    const LogLine* line
    bint blank                   # nothing, or a blank, was written last: blanks are merged

# ---- words -----------------------------------------------------------------------------------------------------------

cdef char* put_escaped(char* to, View text, char* end) noexcept nogil:
    cdef size_t i
    for i in range(text.n):
        if end - to < 3:
            break
        if text.at[i] == c'"' or text.at[i] == c"\\" or text.at[i] == c"]":
            to = put_char(put_char(to, c"\\"), text.at[i])
        elif text.at[i] != c"#" and spelling[<uint8_t>text.at[i]] & SPELL_IN_TARGET:
            to = put_hex(put_char(to, c"#"), <uint8_t>text.at[i])
        else:
            to = put_char(to, text.at[i])
    return to

cdef void put_text(Pen* pen, const Op* op, View text, uint8_t spell) noexcept nogil:
    cdef char* end = pen.end - 8
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')
    elif text.n == 0:
        pen.to = put_char(pen.to, c"-")
    if op.flags & FORMAT_ESCAPE:
        pen.to = put_escaped(pen.to, text, end)
    elif end > pen.to:
        pen.to = put_hashed(pen.to, text, spell, end - pen.to)
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')

cdef char* put_hex_number(char* to, uint64_t value, int least) noexcept nogil:
    cdef const char* digits = b"0123456789ABCDEF"
    cdef int n = 16
    while n > least and value >> (4 * (n - 1)) == 0:
        n -= 1
    while n:
        n -= 1
        to = put_char(to, digits[value >> (4 * n) & 15])
    return to

cdef void put_count(Pen* pen, const Op* op, int64_t value) noexcept nogil:
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')
    pen.to = put_hex_number(pen.to, value, 4) if op.flags & FORMAT_HEX and value >= 0 else put_signed(pen.to, value)
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')

cdef void put_plain(Pen* pen, const Op* op, int64_t value) noexcept nogil:
    """A number that is never hexadecimal."""
    cdef Op decimal = op[0]
    decimal.flags &= ~<uint8_t>FORMAT_HEX
    put_count(pen, &decimal, value)

cdef void put_ip(Pen* pen, const Op* op, const ProxyAddress* address) noexcept nogil:
    cdef char text[46]
    cdef uint8_t i
    cdef uint8_t family = address.family if address != NULL else 0
    if op.flags & FORMAT_HEX and family:
        for i in range(4 if family == 4 else 16):
            pen.to = put_hex(pen.to, address.at[i])
    elif family:
        put_text(pen, op, view(text, ip_text(text, family, address.at)), SPELL_IN_NAME)
    else:
        put_text(pen, op, view(b"unix", 4), SPELL_IN_NAME)

cdef void put_tls(Pen* pen, const Op* op) noexcept nogil:
    """A hyphen where the client spoke no TLS, or named no host."""
    cdef const char* text = pen.line.tls_version
    if op.word == W_CIPHER:
        text = pen.line.tls_cipher
    elif op.word == W_SNI:
        text = pen.line.sni
    if not pen.line.tls or text == NULL:
        text = b""
    put_text(pen, op, view(text, strlen(text)), SPELL_IN_NAME)

cdef View told_name(uint8_t word) noexcept nogil:
    """Of the line that tells it."""
    if word == W_VERIFY:
        return view(b"x-ssl-client-verify", 19)
    if word == W_SERIAL or word == W_USED:
        return view(b"x-ssl-client-serial", 19)
    if word == W_CERTIFICATE_VERSION:
        return view(b"x-ssl-client-version", 20)
    if word == W_SHA1:
        return view(b"x-ssl-client-sha1", 17)
    if word == W_SUBJECT:
        return view(b"x-ssl-client-dn", 15)
    if word == W_COMMON_NAME:
        return view(b"x-ssl-client-cn", 15)
    if word == W_ISSUER:
        return view(b"x-ssl-issuer", 12)
    return view(b"x-ssl-client-notbefore", 22) if word == W_NOT_BEFORE else view(b"x-ssl-client-notafter", 21)

cdef void put_certificate(Pen* pen, const Op* op) noexcept nogil:
    cdef char room[TOLD_MOST]
    cdef View text = told_value(pen.line.told, told_name(op.word), room, TOLD_MOST)
    if op.word == W_USED:
        put_plain(pen, op, text.n != 0)
    else:
        put_text(pen, op, text, SPELL_IN_NAME)

cdef void put_date(Pen* pen, const Op* op, int64_t us) noexcept nogil:
    cdef Second* second = second_at(us // 1000000)
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')
    if op.word == W_T or op.word == W_TR_DATE:
        pen.to = put_millis(put_char(put(pen.to, second.local, LOCAL_LENGTH), c"."), us)
    elif op.word == W_GMT or op.word == W_TRG:
        pen.to = put(put(pen.to, second.gmt, LOCAL_LENGTH), b" +0000", 6)
    else:
        pen.to = put(put_char(put(pen.to, second.local, LOCAL_LENGTH), c" "), second.zone, 5)
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')

# ---- captures --------------------------------------------------------------------------------------------------------

cdef void put_braces(Pen* pen, uint32_t first, uint32_t n) noexcept nogil:
    cdef uint32_t i
    cdef View text
    if n == 0:
        return
    pen.to = put_char(pen.to, c"{")
    for i in range(n):
        if pen.end - pen.to < 8:
            break
        if i:
            pen.to = put_char(pen.to, c"|")
        text = notes_capture(pen.line.notes, pen.line.plan, first + i)
        pen.to = put_hashed(pen.to, text, SPELL_IN_CAPTURE, pen.end - pen.to - 4)
    pen.to = put_char(pen.to, c"}")

cdef void put_list(Pen* pen, const Op* op, uint32_t first, uint32_t n) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        if pen.end - pen.to < ROOM:
            break
        if i:
            pen.to = put_char(pen.to, c" ")
        put_text(pen, op, notes_capture(pen.line.notes, pen.line.plan, first + i), SPELL_IN_CAPTURE)

cdef void put_captured(Pen* pen, const Op* op) noexcept nogil:
    cdef const Plan* plan = pen.line.plan
    if op.word == W_CAPTURED:
        put_text(pen, op, notes_capture(pen.line.notes, plan, op.number), SPELL_IN_TARGET)
    elif op.word == W_CC or op.word == W_CS:
        if plan == NULL or not plan.cookies:
            put_text(pen, op, view(NULL, 0), SPELL_IN_NAME)
        else:
            put_text(pen, op, notes_capture(pen.line.notes, plan, plan.n_request + plan.n_response + (op.word == W_CS)), SPELL_IN_NAME)
    elif plan == NULL:
        return
    elif op.word == W_HR:
        put_braces(pen, 0, plan.n_request)
    elif op.word == W_HS:
        put_braces(pen, plan.n_request, plan.n_response)
    elif op.word == W_HRL:
        put_list(pen, op, 0, plan.n_request)
    else:
        put_list(pen, op, plan.n_request, plan.n_response)

# ---- the request line ------------------------------------------------------------------------------------------------

cdef View query_of(View target) noexcept nogil:
    """With its question mark."""
    cdef const char* mark = <const char*>memchr(target.at, c"?", target.n) if target.n else NULL
    return view(mark, target.at + target.n - mark) if mark != NULL else view(NULL, 0)

cdef void put_request_line(Pen* pen, const Op* op, View target) noexcept nogil:
    cdef Op bare = op[0]
    bare.flags &= ~<uint8_t>FORMAT_QUOTE
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')
    if pen.line.method.n == 0:
        pen.to = put(pen.to, b"<BADREQ>", 8)
    else:
        pen.end -= 16
        put_text(pen, &bare, pen.line.method, SPELL_IN_TARGET)
        pen.to = put_char(pen.to, c" ")
        put_text(pen, &bare, target, SPELL_IN_TARGET)
        pen.end += 16
        pen.to = put_number(put(pen.to, b" HTTP/1.", 8), pen.line.minor)
    if op.flags & FORMAT_QUOTE:
        pen.to = put_char(pen.to, c'"')

cdef void put_of_request(Pen* pen, const Op* op) noexcept nogil:
    cdef View target = pen.line.target, query
    cdef char version[8]
    target.n = min(target.n, <size_t>TARGET_MOST)
    query = query_of(target)
    if op.word == W_REQUEST:
        put_request_line(pen, op, target)
    elif pen.line.method.n == 0:
        put_text(pen, op, view(b"<BADREQ>", 8), SPELL_IN_TARGET)
    elif op.word == W_METHOD:
        put_text(pen, op, pen.line.method, SPELL_IN_TARGET)
    elif op.word == W_URI or op.word == W_URL:
        put_text(pen, op, target, SPELL_IN_TARGET)
    elif op.word == W_PATH:
        put_text(pen, op, view(target.at, target.n - query.n), SPELL_IN_TARGET)
    elif op.word == W_QUERY:
        put_text(pen, op, query, SPELL_IN_TARGET)
    elif op.word == W_BARE_QUERY:
        put_text(pen, op, view(query.at + 1, query.n - 1) if query.n else query, SPELL_IN_TARGET)
    else:
        put_text(pen, op, view(version, put_number(put(version, b"HTTP/1.", 7), pen.line.minor) - version), SPELL_IN_TARGET)

# ---- numbers ---------------------------------------------------------------------------------------------------------

cdef int64_t timer(const LogLine* line, uint8_t word) noexcept nogil:
    if word == W_TR:
        return line.tr_ms
    if word == W_TQ:
        return line.idle_ms + line.tr_ms if line.tr_ms >= 0 else -1
    if word == W_TW:
        return line.tw_ms
    if word == W_TC:
        return line.tc_ms
    if word == W_RESPONSE:
        return line.response_ms
    if word == W_TD:
        return max(line.ta_ms - line.tr_ms - line.tw_ms - line.tc_ms - line.response_ms, 0) if line.response_ms >= 0 else -1
    if word == W_TA:
        return line.ta_ms
    if word == W_TT:
        return line.handshake_ms + line.idle_ms + line.ta_ms
    return line.idle_ms if word == W_TI else line.handshake_ms

cdef int64_t count(const LogLine* line, uint8_t word) noexcept nogil:
    if word == W_STATUS:
        return line.status
    if word == W_BYTES_OUT:
        return <int64_t>line.bytes_out
    if word == W_BYTES_IN:
        return <int64_t>line.bytes_in
    if word == W_AC:
        return line.actconn
    if word == W_FC:
        return line.feconn
    if word == W_BC:
        return line.beconn
    if word == W_SC:
        return line.srvconn
    return line.srv_queue if word == W_SQ else line.backend_queue

cdef void put_one(Pen* pen, const Op* op) noexcept nogil:
    cdef const LogLine* line = pen.line
    cdef int64_t accepted_us = line.accept_us - <int64_t>line.idle_ms * 1000
    cdef uint8_t word = op.word
    cdef char letters[4]
    if word == W_LITERAL:
        pen.to = put(pen.to, op.text.at, min(op.text.n, <size_t>(pen.end - pen.to)))
    elif word == W_SPACE:
        if not pen.blank:
            pen.to = put_char(pen.to, c" ")
    elif word == W_CI or word == W_FI or word == W_SI:
        if word == W_SI and line.server_address == NULL:
            put_text(pen, op, view(NULL, 0), SPELL_IN_NAME)
        else:
            put_ip(pen, op, line.client_address if word == W_CI else line.local_address if word == W_FI else line.server_address)
    elif word == W_CP:
        put_count(pen, op, line.client_port)
    elif word == W_FP:
        put_count(pen, op, line.frontend_port)
    elif word == W_SP:
        put_count(pen, op, line.server_address.port if line.server_address != NULL else 0)
    elif word == W_T or word == W_GMT or word == W_LOCAL:
        put_date(pen, op, accepted_us)
    elif word == W_TR_DATE or word == W_TRG or word == W_TRL:
        put_date(pen, op, line.accept_us)
    elif word == W_TS_SECONDS:
        put_count(pen, op, accepted_us // 1000000)
    elif word == W_MS:
        pen.to = put_hex_number(pen.to, accepted_us % 1000000 // 1000, 2) if op.flags & FORMAT_HEX else put_millis(pen.to, accepted_us)
    elif word == W_F or word == W_FT:
        put_text(pen, op, line.frontend, SPELL_IN_NAME)
        if word == W_FT and line.tls:
            pen.to = put_char(pen.to, c"~")
    elif word == W_B:
        put_text(pen, op, line.backend if line.backend.n else line.frontend, SPELL_IN_NAME)
    elif word == W_S:
        put_text(pen, op, line.server if line.server.n else view(b"<NOSRV>", 7), SPELL_IN_NAME)
    elif W_TR <= word <= W_TH:
        put_plain(pen, op, timer(line, word))
    elif word == W_TERMINATION or word == W_TERMINATION_COOKIES:
        put_letter(put_letter(put_letter(put_letter(letters, line.cause), line.state), line.cookie_in), line.cookie_out)
        put_text(pen, op, view(letters, 2 if word == W_TERMINATION else 4), SPELL_IN_NAME)
    elif word == W_RC:
        if line.redispatched:
            pen.to = put_char(pen.to, c"+")
        put_plain(pen, op, line.retries)
    elif word == W_RT:
        put_count(pen, op, <int64_t>line.notes.number if line.notes != NULL else 0)
    elif word == W_LC:
        put_count(pen, op, <int64_t>line.lines)
    elif word == W_ID:
        put_text(pen, op, view(line.notes.id, line.notes.id_n) if line.notes != NULL else view(NULL, 0), SPELL_IN_NAME)
    elif word == W_CC or word == W_CS or W_HR <= word <= W_HSL or word == W_CAPTURED:
        put_captured(pen, op)
    elif word == W_CIPHER or word == W_TLS_VERSION or word == W_SNI:
        put_tls(pen, op)
    elif W_USED <= word <= W_NOT_AFTER:
        put_certificate(pen, op)
    elif word == W_TLS:
        put_plain(pen, op, line.tls)
    elif W_REQUEST <= word <= W_VERSION or word == W_BARE_QUERY or word == W_URL:
        put_of_request(pen, op)
    else:
        put_plain(pen, op, count(line, word))

cdef char* format_write(char* to, char* end, const Op* ops, uint32_t n, const LogLine* line) noexcept nogil:
    cdef Pen pen
    cdef char* before
    cdef uint32_t i
    pen.to, pen.end, pen.line, pen.blank = to, end, line, True
    for i in range(n):
        if ops[i].word > W_SPACE and end - pen.to < ROOM:
            break
        before = pen.to
        put_one(&pen, &ops[i])
        if pen.to != before:
            pen.blank = (pen.to - 1)[0] == c" "
    return pen.to

# ---- made of what settings say ---------------------------------------------------------------------------------------

cdef dict NUMBERS = {word: number for number, word in enumerate(WORDS)}
cdef dict FLAGS = {"Q": FORMAT_QUOTE, "E": FORMAT_ESCAPE, "X": FORMAT_HEX}
cdef dict SIDES = {"request": SIDE_REQUEST, "response": SIDE_RESPONSE, "cookie": SIDE_COOKIE, "set-cookie": SIDE_SET_COOKIE}

cdef class Format:
    """Compiled pieces; KeyError for a word that there is not."""

    def __cinit__(self, pieces):
        cdef uint32_t i
        cdef bytes text
        self.texts = []
        self.ops = <Op*>calloc(len(pieces) + 1, sizeof(Op))
        if self.ops == NULL:
            raise MemoryError
        self.n = len(pieces)
        for i in range(self.n):
            word, flags, what = pieces[i]
            self.ops[i].word = NUMBERS[word]
            for letter in flags:
                self.ops[i].flags |= <uint8_t>FLAGS[letter]
            if isinstance(what, int):
                self.ops[i].number = what
            else:
                text = what.encode()
                self.texts.append(text)
                self.ops[i].text = view(text, len(text))

    def __dealloc__(self):
        free(self.ops)

cdef class Notebook:
    """What is to be noted of every exchange. `captures`: (side, name, most bytes), as Plan.captures wants them."""

    def __cinit__(self, captures, uint32_t n_request, uint32_t n_response, bint cookies, Format id_format, str id_header not None):
        cdef uint32_t i
        cdef bytes name = id_header.encode()
        self.names = [name]
        self.plan.id_header = view(name, len(name))
        self.plan.captures = <Capture*>calloc(len(captures) + 1, sizeof(Capture))
        if self.plan.captures == NULL:
            raise MemoryError
        self.plan.n = len(captures)
        self.plan.n_request, self.plan.n_response, self.plan.cookies = n_request, n_response, cookies
        for i in range(self.plan.n):
            side, text, most = captures[i]
            name = text.encode()
            self.names.append(name)
            self.plan.captures[i].side = SIDES[side]
            self.plan.captures[i].name = view(name, len(name))
            self.plan.captures[i].most = most
            self.plan.captures[i].at = self.plan.bytes
            self.plan.bytes += most
        self.id_format = id_format
        if id_format is not None:
            self.plan.id_format = id_format.ops
            self.plan.id_n = id_format.n

    def __dealloc__(self):
        free(self.plan.captures)
