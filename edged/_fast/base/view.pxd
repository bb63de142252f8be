# A borrowed run of bytes. A view never owns what it shows and is never NUL terminated.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef extern from *:
    """
    #include <strings.h>
    #ifdef EDGED_CHECKED
    #include <stdio.h>
    #include <stdlib.h>
    #define edged_check(truth) do { if (!(truth)) { fprintf(stderr, "%s:%d: not so: %s\\n", __FILE__, __LINE__, #truth); abort(); } } while (0)
    #else
    #define edged_check(truth) ((void)0)
    #endif
    #ifndef likely
    #define likely(x) __builtin_expect(!!(x), 1)
    #define unlikely(x) __builtin_expect(!!(x), 0)
    #endif
    """
    void check "edged_check"(bint truth) noexcept nogil      # aborts in the checked build only
    bint likely(bint truth) noexcept nogil
    bint unlikely(bint truth) noexcept nogil
    int strncasecmp(const char*, const char*, size_t) noexcept nogil

cdef struct View:
    const char* at
    size_t n                     # 0: empty; `at` may then be NULL

cdef inline View view(const char* at, size_t n) noexcept nogil:
    cdef View v
    v.at = at
    v.n = n
    return v

cdef inline bint view_is(View v, const char* text, size_t n) noexcept nogil:
    return v.n == n and memcmp(v.at, text, n) == 0

cdef inline bint view_is_nocase(View v, const char* text, size_t n) noexcept nogil:
    return v.n == n and strncasecmp(v.at, text, n) == 0

cdef inline bint view_same(View a, View b) noexcept nogil:
    return a.n == b.n and (a.n == 0 or memcmp(a.at, b.at, a.n) == 0)
