# From the name of a field to its Known: by length, then one compare of the folded bytes. The name must be a token.

from libc.stdint cimport uint8_t
from edged._fast.base.view cimport unlikely
from edged._fast.parse.head cimport (
    KNOWN_ACCEPT, KNOWN_CACHE_CONTROL, KNOWN_CONNECTION, KNOWN_CONTENT_LENGTH, KNOWN_COOKIE, KNOWN_EXPECT, KNOWN_FORWARDED,
    KNOWN_HOST, KNOWN_HTTP2_SETTINGS, KNOWN_KEEP_ALIVE, KNOWN_NONE, KNOWN_PROXY, KNOWN_PROXY_CONNECTION,
    KNOWN_SEC_WEBSOCKET_KEY, KNOWN_SET_COOKIE, KNOWN_STRICT_TRANSPORT_SECURITY, KNOWN_TE, KNOWN_TRAILER,
    KNOWN_TRANSFER_ENCODING, KNOWN_UPGRADE, KNOWN_WWW_AUTHENTICATE, KNOWN_X_FORWARDED_ALIAS, KNOWN_X_FORWARDED_FOR,
    KNOWN_X_FORWARDED_HOST, KNOWN_X_FORWARDED_PORT, KNOWN_X_FORWARDED_PROTO, KNOWN_X_FORWARDED_PROTO_VERSION, KNOWN_X_SSL,
)
from edged._fast.parse.scan cimport word_is

cdef inline bint is_alias(const char* at, const char* word, size_t n) noexcept nogil:
    """As word_is, but an underscore is as good as a hyphen: endpoints that make variables of names (CGI, WSGI, PHP) read both alike, so
    that who must not send one must not send the other."""
    cdef size_t i
    for i in range(n):
        if (c'-' if at[i] == c'_' else at[i] | 0x20) != word[i]:
            return False
    return True

cdef inline uint8_t client_certificate_field(const char* at, size_t n) noexcept nogil:
    """The names of openshift-routes.md 7.8 that begin with "x-ssl-"; `at` is behind that."""
    cdef bint one = False
    if n == 6:
        one = is_alias(at, "issuer", 6)
    elif n == 9:
        one = is_alias(at, "client-dn", 9) or is_alias(at, "client-cn", 9)
    elif n == 10:
        one = is_alias(at, "client-der", 10)
    elif n == 11:
        one = is_alias(at, "client-sha1", 11)
    elif n == 13:
        one = is_alias(at, "client-verify", 13) or is_alias(at, "client-serial", 13)
    elif n == 14:
        one = is_alias(at, "client-version", 14) or is_alias(at, "client-subject", 14)
    elif n == 15:
        one = is_alias(at, "client-notafter", 15)
    elif n == 16:
        one = is_alias(at, "client-notbefore", 16)
    return KNOWN_X_SSL if one else KNOWN_NONE

cdef inline uint8_t known_alias(const char* at, size_t n) noexcept nogil:
    """Names of more than ten characters that begin with an x, and that endpoints may take for one that we set."""
    cdef char third = at[2] | 0x20
    if third == c's':
        return client_certificate_field(at + 6, n - 6) if is_alias(at, "x-ssl-", 6) else KNOWN_NONE
    if third != c'f':
        return KNOWN_NONE
    if n == 15:
        return KNOWN_X_FORWARDED_ALIAS if is_alias(at, "x-forwarded-for", 15) else KNOWN_NONE
    if n == 16 and (is_alias(at, "x-forwarded-host", 16) or is_alias(at, "x-forwarded-port", 16)):
        return KNOWN_X_FORWARDED_ALIAS
    return KNOWN_X_FORWARDED_ALIAS if n == 17 and is_alias(at, "x-forwarded-proto", 17) else KNOWN_NONE

cdef inline uint8_t known_long(const char* at, size_t n) noexcept nogil:
    """Names of more than ten characters."""
    if n == 13:
        if word_is(at, "cache-control", 13): return KNOWN_CACHE_CONTROL
    elif n == 14:
        if word_is(at, "content-length", 14): return KNOWN_CONTENT_LENGTH
        if word_is(at, "http2-settings", 14): return KNOWN_HTTP2_SETTINGS
    elif n == 15:
        if word_is(at, "x-forwarded-for", 15): return KNOWN_X_FORWARDED_FOR
    elif n == 16:
        if word_is(at, "x-forwarded-host", 16): return KNOWN_X_FORWARDED_HOST
        if word_is(at, "x-forwarded-port", 16): return KNOWN_X_FORWARDED_PORT
        if word_is(at, "proxy-connection", 16): return KNOWN_PROXY_CONNECTION
        if word_is(at, "www-authenticate", 16): return KNOWN_WWW_AUTHENTICATE
    elif n == 17:
        if word_is(at, "x-forwarded-proto", 17): return KNOWN_X_FORWARDED_PROTO
        if word_is(at, "transfer-encoding", 17): return KNOWN_TRANSFER_ENCODING
        if word_is(at, "sec-websocket-key", 17): return KNOWN_SEC_WEBSOCKET_KEY
    elif n == 25:
        if word_is(at, "x-forwarded-proto-version", 25): return KNOWN_X_FORWARDED_PROTO_VERSION
        if word_is(at, "strict-transport-security", 25): return KNOWN_STRICT_TRANSPORT_SECURITY
    return known_alias(at, n) if unlikely((at[0] | 0x20) == c'x') else KNOWN_NONE

cdef inline uint8_t known_name(const char* at, size_t n) noexcept nogil:
    if n > 10:
        return known_long(at, n)
    if n == 2:
        return KNOWN_TE if word_is(at, "te", 2) else KNOWN_NONE
    elif n == 4:
        return KNOWN_HOST if word_is(at, "host", 4) else KNOWN_NONE
    elif n == 5:
        if word_is(at, "proxy", 5): return KNOWN_PROXY
        if unlikely((at[0] | 0x20) == c'x') and is_alias(at, "x-ssl", 5): return KNOWN_X_SSL
    elif n == 6:
        if word_is(at, "accept", 6): return KNOWN_ACCEPT
        if word_is(at, "cookie", 6): return KNOWN_COOKIE
        if word_is(at, "expect", 6): return KNOWN_EXPECT
    elif n == 7:
        if word_is(at, "upgrade", 7): return KNOWN_UPGRADE
        if word_is(at, "trailer", 7): return KNOWN_TRAILER
    elif n == 9:
        return KNOWN_FORWARDED if word_is(at, "forwarded", 9) else KNOWN_NONE
    elif n == 10:
        if word_is(at, "connection", 10): return KNOWN_CONNECTION
        if word_is(at, "keep-alive", 10): return KNOWN_KEEP_ALIVE
        if word_is(at, "set-cookie", 10): return KNOWN_SET_COOKIE
    return KNOWN_NONE
