"""Certificates of clients, told to endpoints. See peercert.pxd.

A certificate's texts are whatever its owner got an authority to sign: no byte of them may end a line or the quotes around it. What
HAProxy writes as %XX, control characters, is written so here; quotes and backslashes get a backslash (RFC 9110 section 5.6.4).
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset, strlen

from edged._fast.base.openssl cimport openssl
from edged._fast.base.view cimport View, check, unlikely, view
from edged._fast.route.fields cimport to_base64
from edged._fast.route.out cimport Out, out_begin, put, put_number, put_view, room_for, say

cdef extern from "<regex.h>" nogil:
    ctypedef ssize_t regoff_t
    ctypedef struct regmatch_t:
        regoff_t rm_so
        regoff_t rm_eo
    int REG_EXTENDED, REG_NOSUB, REG_STARTEND
    int regcomp(regex_t* expression, const char* text, int flags)
    int regexec(const regex_t* expression, const char* text, size_t n, regmatch_t* matches, int flags)
    size_t regerror(int why, const regex_t* expression, char* text, size_t room)
    void regfree(regex_t* expression)

cdef extern from "<locale.h>" nogil:
    ctypedef void* locale_t
    int LC_CTYPE_MASK
    locale_t newlocale(int mask, const char* name, locale_t base)
    locale_t uselocale(locale_t locale)
    void freelocale(locale_t locale)

cdef enum:
    NAME_MOST = 8192             # bytes of a subject or issuer; a longer one is not told
    SEARCHED_MOST = 1024         # of a subject; a longer one is taken by no filter, as some take the square of it to search
    SERIAL_MOST = 128
    OBJECT_MOST = 256            # an attribute's name, where it is numbers
    SHA1_BYTES = 20
    TIME_MOST = 32
    NID_COMMON_NAME = 13
    UTC_TIME = 23
    GENERALIZED_TIME = 24
    LINES_ROOM = 1024            # names and signs of all lines, and the short values

# ---- texts of a certificate --------------------------------------------------------------------------------------------

cdef inline View string_of(const void* text) noexcept nogil:
    if text == NULL:
        return view(NULL, 0)
    return view(<const char*>openssl.ASN1_STRING_get0_data(text), openssl.ASN1_STRING_length(text))

cdef void put_attribute(Out* out, const void* object) noexcept nogil:
    cdef char numbers[OBJECT_MOST]
    cdef int nid = openssl.OBJ_obj2nid(object)
    cdef const char* name = openssl.OBJ_nid2sn(nid) if nid else NULL
    if name == NULL:
        numbers[0] = 0
        openssl.OBJ_obj2txt(numbers, OBJECT_MOST, object, 0)
        name = numbers
    put(out, name, strlen(name))

cdef View name_text(Out* out, const void* name) noexcept nogil:
    """The slash form: /C=DE/CN=someone. The values are the certificate's bytes, whatever they are; empty where it is too long."""
    cdef int i
    cdef void* entry
    for i in range(openssl.X509_NAME_entry_count(name)):
        entry = openssl.X509_NAME_get_entry(name, i)
        say(out, b"/")
        put_attribute(out, openssl.X509_NAME_ENTRY_get_object(entry))
        say(out, b"=")
        put_view(out, string_of(openssl.X509_NAME_ENTRY_get_data(entry)))
    return view(NULL, 0) if out.full else view(out.start, out.at - out.start)

cdef View common_name(const void* name) noexcept nogil:
    """The first one."""
    cdef int i
    cdef void* entry
    for i in range(openssl.X509_NAME_entry_count(name)):
        entry = openssl.X509_NAME_get_entry(name, i)
        if openssl.OBJ_obj2nid(openssl.X509_NAME_ENTRY_get_object(entry)) == NID_COMMON_NAME:
            return string_of(openssl.X509_NAME_ENTRY_get_data(entry))
    return view(NULL, 0)

cdef View time_text(const void* time) noexcept nogil:
    """YYMMDDhhmmssZ, of years that are 20YY. Others are not told, as two digits would lie; HAProxy tells none of them either."""
    cdef View text = string_of(time)
    if text.n > TIME_MOST:
        return view(NULL, 0)
    if text.n >= 12 and openssl.ASN1_STRING_type(time) == GENERALIZED_TIME:
        return view(text.at + 2, text.n - 2) if memcmp(text.at, b"20", 2) == 0 else view(NULL, 0)
    if text.n >= 10 and openssl.ASN1_STRING_type(time) == UTC_TIME and text.at[0] < c"5":
        return text
    return view(NULL, 0)

# ---- lines -------------------------------------------------------------------------------------------------------------

cdef inline void put_hex(Out* out, View raw) noexcept nogil:
    cdef const char* digits = b"0123456789ABCDEF"
    cdef char* to = room_for(out, 2 * raw.n)
    cdef size_t i
    if to != NULL:
        for i in range(raw.n):
            to[2 * i] = digits[<uint8_t>raw.at[i] >> 4]
            to[2 * i + 1] = digits[<uint8_t>raw.at[i] & 15]

cdef void put_safe(Out* out, View text) noexcept nogil:
    cdef size_t i
    cdef char c
    for i in range(text.n):
        c = text.at[i]
        if unlikely((<uint8_t>c < 0x20 and c != c"\t") or c == 0x7F):
            say(out, b"%")
            put_hex(out, view(text.at + i, 1))
            continue
        if c == c'"' or c == c"\\":
            say(out, b"\\")
        put(out, &c, 1)

cdef void put_text_line(Out* out, const char* name, View text) noexcept nogil:
    """In quotes; nothing at all where there is no text."""
    put(out, name, strlen(name))
    if text.n:
        say(out, b': "')
        put_safe(out, text)
        say(out, b'"\r\n')
    else:
        say(out, b": \r\n")

cdef void put_hex_line(Out* out, const char* name, View raw) noexcept nogil:
    cdef char text[2 * SERIAL_MOST]
    cdef Out to = out_begin(text, sizeof(text))
    put_hex(&to, raw)
    put_text_line(out, name, view(text, to.at - to.start))

cdef void put_der_line(Out* out, View der) noexcept nogil:
    cdef size_t start
    say(out, b'x-ssl-client-der: "')
    start = out.at - out.start
    put_view(out, der)
    to_base64(out, start)
    say(out, b'"\r\n')

cdef void put_verdict(Out* out, long verdict) noexcept nogil:
    """x-ssl says that the client spoke TLS, certificate or not, as HAProxy's ssl_fc does."""
    say(out, b"x-ssl: 1\r\nx-ssl-client-verify: ")
    put_number(out, <uint64_t>verdict)
    say(out, b"\r\n")

cdef void put_absent(Out* out) noexcept nogil:
    say(out, b"x-ssl-client-serial: \r\nx-ssl-client-version: \r\nx-ssl-client-sha1: \r\nx-ssl-client-dn: \r\nx-ssl-client-cn: \r\n"
             b"x-ssl-issuer: \r\nx-ssl-client-notbefore: \r\nx-ssl-client-notafter: \r\nx-ssl-client-der: \r\n")

cdef void put_certificate(Out* out, const void* x509, View subject, View issuer, View der) noexcept nogil:
    cdef const void* name = openssl.X509_get_subject_name(x509)
    cdef unsigned char digest[SHA1_BYTES]
    cdef unsigned int digest_n = 0
    openssl.X509_digest(x509, openssl.EVP_sha1(), digest, &digest_n)
    put_hex_line(out, b"x-ssl-client-serial", string_of(openssl.X509_get0_serialNumber(x509)))
    say(out, b'x-ssl-client-version: "')
    put_number(out, <uint64_t>(openssl.X509_get_version(x509) + 1))
    say(out, b'"\r\n')
    put_hex_line(out, b"x-ssl-client-sha1", view(<const char*>digest, digest_n))
    put_text_line(out, b"x-ssl-client-dn", subject)
    put_text_line(out, b"x-ssl-client-cn", common_name(name) if subject.n else subject)
    put_text_line(out, b"x-ssl-issuer", issuer)
    put_text_line(out, b"x-ssl-client-notbefore", time_text(openssl.X509_get0_notBefore(x509)))
    put_text_line(out, b"x-ssl-client-notafter", time_text(openssl.X509_get0_notAfter(x509)))
    put_der_line(out, der)

# ---- the whole ---------------------------------------------------------------------------------------------------------

cdef bint is_taken(const Filter* filter, View subject) noexcept nogil:
    """What was not told, or is not there, is not taken by any expression."""
    cdef regmatch_t bounds
    if filter == NULL:
        return True
    bounds.rm_so = 0
    bounds.rm_eo = <regoff_t>subject.n
    return 0 < subject.n <= SEARCHED_MOST and regexec(&filter.expression, subject.at, 0, &bounds, REG_STARTEND) == 0

cdef ClientCertificate* seal(char* block, const Out* out, size_t der_n) noexcept nogil:
    """The block, as large as it need be: the certificate's facts, its DER, the lines."""
    cdef size_t lines_n = out.at - out.start, der_at = sizeof(ClientCertificate)
    cdef char* fit = <char*>realloc(block, der_at + der_n + lines_n)
    cdef ClientCertificate* made
    check(not out.full)
    if fit == NULL:
        fit = block
    made = <ClientCertificate*>fit
    made.der = view(fit + der_at, der_n)
    made.lines = view(fit + der_at + der_n, lines_n)
    return made

cdef ClientCertificate* tell_nothing(long verdict, const Filter* filter) noexcept nogil:
    cdef char* block = <char*>malloc(sizeof(ClientCertificate) + LINES_ROOM)
    cdef Out out
    if block == NULL:
        return NULL
    (<ClientCertificate*>block).refused = filter != NULL
    out = out_begin(block + sizeof(ClientCertificate), LINES_ROOM)
    put_verdict(&out, verdict)
    put_absent(&out)
    return seal(block, &out, 0)

cdef ClientCertificate* tell(const void* x509, long verdict, const Filter* filter) noexcept nogil:
    cdef char names[2 * NAME_MOST]
    cdef Out subject_out = out_begin(names, NAME_MOST), issuer_out = out_begin(names + NAME_MOST, NAME_MOST)
    cdef View subject = name_text(&subject_out, openssl.X509_get_subject_name(x509))
    cdef View issuer = name_text(&issuer_out, openssl.X509_get_issuer_name(x509))
    cdef int der_n = openssl.i2d_X509(x509, NULL)
    cdef size_t room
    cdef char* block
    cdef unsigned char* at
    cdef Out out
    if der_n <= 0:
        return NULL
    room = LINES_ROOM + 4 * SERIAL_MOST + 3 * (2 * subject.n + issuer.n) + (<size_t>der_n + 2) // 3 * 4
    block = <char*>malloc(sizeof(ClientCertificate) + der_n + room)
    if block == NULL:
        return NULL
    at = <unsigned char*>block + sizeof(ClientCertificate)
    if openssl.i2d_X509(x509, &at) != der_n:
        free(block)
        return NULL
    (<ClientCertificate*>block).refused = not is_taken(filter, subject)
    out = out_begin(<char*>at, room)
    put_verdict(&out, verdict)
    put_certificate(&out, x509, subject, issuer, view(<char*>at - der_n, der_n))
    return seal(block, &out, der_n)

cdef ClientCertificate* peercert_read(void* ssl, const Filter* filter) noexcept nogil:
    cdef const void* x509 = openssl.SSL_get0_peer_certificate(ssl)
    cdef long verdict = openssl.SSL_get_verify_result(ssl)
    return tell_nothing(verdict, filter) if x509 == NULL else tell(x509, verdict, filter)

cdef void peercert_free(ClientCertificate* certificate) noexcept nogil:
    free(certificate)

# ---- which subjects are taken ------------------------------------------------------------------------------------------

cdef class Subjects:
    """Which subjects a listener takes. Bytes are compared, not characters of a language."""

    def __cinit__(self, str expression not None):
        cdef bytes text = expression.encode()
        cdef locale_t plain, before
        cdef char told[200]
        cdef int why
        if b"\0" in text:
            raise ValueError("a zero byte is in no subject")
        plain = newlocale(LC_CTYPE_MASK, b"C", NULL)
        if plain == NULL:
            raise MemoryError
        before = uselocale(plain)
        why = regcomp(&self.filter.expression, text, REG_EXTENDED | REG_NOSUB)
        regerror(why, &self.filter.expression, told, sizeof(told))
        uselocale(before)
        freelocale(plain)
        if why:
            raise ValueError(f"{expression!r} is no regular expression: {told.decode(errors='replace')}")
        self.made = True

    def __dealloc__(self):
        if self.made:
            regfree(&self.filter.expression)
