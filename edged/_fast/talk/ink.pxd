# How facts are written into a line. Nothing here looks for room but put_hashed: the caller knows how much there is.
#
# Lines never depend on what a client sends for their shape: what could end a field is written as HAProxy writes it, "#" and two
# hexadecimal digits.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy
from edged._fast.base.view cimport View

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <time.h>

    /* how a byte stands in a line: 1 "#XX" within quotes, 2 where blanks part the fields, 4 as an escape of JSON, 8 "#XX" among captures */
    static const uint8_t edged_spelling[256] = {
        [0 ... 31] = 15, [127 ... 255] = 15, ['"'] = 15, ['#'] = 11, [' '] = 2, ['\\\\'] = 4, ['{'] = 8, ['|'] = 8, ['}'] = 8,
    };

    typedef struct { int64_t second; char local[32]; char utc[32]; char gmt[32]; char zone[8]; } edged_second;

    /* Seconds that were formatted lately. Lines of slow exchanges are dated back, so there are several; each is asked of the
       C library anew, so that a change of the offset is seen at once. A table for each thread: nobody waits. */
    static __thread edged_second edged_seconds[16];

    static inline edged_second *edged_second_at(int64_t second) {
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        edged_second *s = &edged_seconds[second & 15];
        time_t when = (time_t)second;
        struct tm t;
        if (s->second == second && s->local[0]) return s;
        if (!localtime_r(&when, &t)) return s;
        snprintf(s->local, sizeof s->local, "%02d/%.3s/%04d:%02d:%02d:%02d", t.tm_mday, months + 3 * (t.tm_mon % 12),
                 (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
        int ahead = (int)(t.tm_gmtoff / 60);
        snprintf(s->zone, sizeof s->zone, "%c%02d%02d", ahead < 0 ? '-' : '+', abs(ahead) / 60 % 100, abs(ahead) % 60);
        if (!gmtime_r(&when, &t)) return s;
        snprintf(s->gmt, sizeof s->gmt, "%02d/%.3s/%04d:%02d:%02d:%02d", t.tm_mday, months + 3 * (t.tm_mon % 12),
                 (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
        snprintf(s->utc, sizeof s->utc, "%04d-%02d-%02dT%02d:%02d:%02d", (t.tm_year + 1900) % 10000, t.tm_mon + 1, t.tm_mday,
                 t.tm_hour, t.tm_min, t.tm_sec);
        s->second = second;
        return s;
    }
    """
    ctypedef struct Second "edged_second":
        char local[32]           # 20 characters: 22/Nov/2026:04:12:25
        char utc[32]             # 19 characters: 2026-11-22T04:12:25
        char gmt[32]             # as local
        char zone[8]             # 5 characters: +0100
    const uint8_t* spelling "edged_spelling"
    Second* second_at "edged_second_at"(int64_t second) noexcept nogil

cdef enum:
    SPELL_IN_TARGET = 1
    SPELL_IN_NAME = 2
    SPELL_IN_JSON = 4
    SPELL_IN_CAPTURE = 8
    LOCAL_LENGTH = 20
    UTC_LENGTH = 19

cdef inline char* put(char* to, const char* text, size_t n) noexcept nogil:
    memcpy(to, text, n)
    return to + n

cdef inline char* put_char(char* to, char c) noexcept nogil:
    to[0] = c
    return to + 1

cdef inline char* put_number(char* to, uint64_t value) noexcept nogil:
    cdef char digits[20]
    cdef int n = 20
    if value < 10:
        return put_char(to, c"0" + <char>value)
    while value:
        n -= 1
        digits[n] = c"0" + <char>(value % 10)
        value //= 10
    return put(to, digits + n, 20 - n)

cdef inline char* put_signed(char* to, int64_t value) noexcept nogil:
    if value >= 0:
        return put_number(to, value)
    return put_number(put_char(to, c"-"), <uint64_t>-value)

cdef inline char* put_millis(char* to, int64_t us) noexcept nogil:
    cdef int ms = us % 1000000 // 1000
    to[0] = c"0" + ms // 100
    to[1] = c"0" + ms // 10 % 10
    to[2] = c"0" + ms % 10
    return to + 3

cdef inline char* put_hex(char* to, uint8_t c) noexcept nogil:
    cdef const char* digits = b"0123456789ABCDEF"
    to[0] = digits[c >> 4]
    to[1] = digits[c & 15]
    return to + 2

cdef inline char* put_hashed(char* to, View text, uint8_t spell, size_t room) noexcept nogil:
    """`text` with "#XX" for what may not stand there, cut where `room` bytes are full."""
    cdef char* end = to + room
    cdef const uint8_t* at = <const uint8_t*>text.at
    cdef size_t i
    for i in range(text.n):
        if not spelling[at[i]] & spell:
            if to == end:
                break
            to[0] = at[i]
            to += 1
        else:
            if end - to < 3:
                break
            to = put_hex(put_char(to, c"#"), at[i])
    return to

cdef inline char* put_letter(char* to, char letter) noexcept nogil:
    return put_char(to, letter if letter else c"-")
