# The searches that parsing is made of: how far does a run of permitted bytes go. Sixteen bytes a step where SSE2 is there,
# byte by byte elsewhere and near the end. All answer a position in [p, end] and never read at or behind `end`.

from libc.stdint cimport uint8_t
from edged._fast.base.status cimport BAD, DONE, MORE, Status
from edged._fast.base.view cimport View, unlikely

cdef extern from *:
    """
    #ifndef EDGED_SCAN
    #define EDGED_SCAN
    #include <stdint.h>
    #include <string.h>
    #ifdef __SSE2__
    #include <emmintrin.h>
    #endif

    enum { EDGED_TOKEN = 1, EDGED_TARGET = 2, EDGED_HOST = 4, EDGED_TEXT = 8 };
    #define EDGED_TGX (EDGED_TARGET | EDGED_TEXT)
    #define EDGED_THX (EDGED_TARGET | EDGED_HOST | EDGED_TEXT)
    #define EDGED_KTX (EDGED_TOKEN | EDGED_TARGET | EDGED_TEXT)
    #define EDGED_ALL (EDGED_TOKEN | EDGED_TARGET | EDGED_HOST | EDGED_TEXT)

    /* TOKEN: RFC 9110 5.6.2. TARGET: visible ASCII without '#'. HOST: RFC 3986 reg-name without ','. TEXT: what a value may hold. */
    static const uint8_t edged_class[256] = {
        ['\\t'] = EDGED_TEXT, [' '] = EDGED_TEXT,
        ['0' ... '9'] = EDGED_ALL, ['A' ... 'Z'] = EDGED_ALL, ['a' ... 'z'] = EDGED_ALL,
        ['!'] = EDGED_ALL, ['$'] = EDGED_ALL, ['%'] = EDGED_ALL, ['&'] = EDGED_ALL, ['\\''] = EDGED_ALL, ['*'] = EDGED_ALL,
        ['+'] = EDGED_ALL, ['-'] = EDGED_ALL, ['.'] = EDGED_ALL, ['_'] = EDGED_ALL, ['~'] = EDGED_ALL,
        ['('] = EDGED_THX, [')'] = EDGED_THX, [';'] = EDGED_THX, ['='] = EDGED_THX,
        ['^'] = EDGED_KTX, ['`'] = EDGED_KTX, ['|'] = EDGED_KTX, ['#'] = EDGED_TOKEN | EDGED_TEXT,
        ['"'] = EDGED_TGX, [','] = EDGED_TGX, ['/'] = EDGED_TGX, [':'] = EDGED_TGX, ['<'] = EDGED_TGX, ['>'] = EDGED_TGX,
        ['?'] = EDGED_TGX, ['@'] = EDGED_TGX, ['['] = EDGED_TGX, ['\\\\'] = EDGED_TGX, [']'] = EDGED_TGX, ['{'] = EDGED_TGX,
        ['}'] = EDGED_TGX,
        [0x80 ... 0xff] = EDGED_TEXT,
    };

    static inline int edged_is(char c, int kind) { return edged_class[(uint8_t)c] & kind; }

    #ifdef __SSE2__
    static inline __m128i edged_load(const char* p) { return _mm_loadu_si128((const __m128i*)p); }
    /* signed compares: bytes from 0x80 on are negative and so below every range */
    static inline __m128i edged_within(__m128i c, char low, char high) {
        return _mm_and_si128(_mm_cmpgt_epi8(c, _mm_set1_epi8(low - 1)), _mm_cmplt_epi8(c, _mm_set1_epi8(high + 1)));
    }
    #endif

    /* Letters, digits and '-' go sixteen at a time; the rarer token characters one by one. */
    static inline const char* edged_token_end(const char* p, const char* end) {
    #ifdef __SSE2__
        while (end - p >= 16) {
            __m128i c = edged_load(p);
            __m128i letter = edged_within(_mm_or_si128(c, _mm_set1_epi8(0x20)), 'a', 'z');
            __m128i other = _mm_or_si128(edged_within(c, '0', '9'), _mm_cmpeq_epi8(c, _mm_set1_epi8('-')));
            unsigned stop = (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, other)) ^ 0xffff;
            if (stop) { p += __builtin_ctz(stop); break; }
            p += 16;
        }
    #endif
        while (p < end && edged_is(*p, EDGED_TOKEN)) p++;
        return p;
    }

    /* To the first control character but HTAB: the line end, if all is well. */
    static inline const char* edged_text_end(const char* p, const char* end) {
    #ifdef __SSE2__
        while (end - p >= 16) {
            __m128i c = edged_load(p);
            __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(c, _mm_set1_epi8(0x1f)), c);
            __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8('\\t')), low);
            unsigned stop = (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(c, _mm_set1_epi8(0x7f))));
            if (stop) return p + __builtin_ctz(stop);
            p += 16;
        }
    #endif
        while (p < end && edged_is(*p, EDGED_TEXT)) p++;
        return p;
    }

    /* To the first byte that no target may hold, or to the first `also`. */
    static inline const char* edged_target_end(const char* p, const char* end, char also) {
    #ifdef __SSE2__
        while (end - p >= 16) {
            __m128i c = edged_load(p);
            __m128i good = edged_within(c, 0x21, 0x7e);
            __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8('#')), _mm_cmpeq_epi8(c, _mm_set1_epi8(also)));
            unsigned stop = (unsigned)_mm_movemask_epi8(_mm_andnot_si128(mark, good)) ^ 0xffff;
            if (stop) return p + __builtin_ctz(stop);
            p += 16;
        }
    #endif
        while (p < end && *p != also && edged_is(*p, EDGED_TARGET)) p++;
        return p;
    }

    /* Walks the control characters of [block, end) in order; the next 64 bytes are looked at when those before are used up. */
    typedef struct { const char* block; const char* end; uint64_t left; } edged_stops;

    static inline uint64_t edged_controls(const char* p, const char* end) {
        uint64_t found = 0;
        int i = 0;
    #ifdef __SSE2__
        for (; i < 64 && end - p >= i + 16; i += 16) {
            __m128i c = edged_load(p + i);
            __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(c, _mm_set1_epi8(0x1f)), c);
            found |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(c, _mm_set1_epi8(0x7f)))) << i;
        }
    #endif
        for (; i < 64 && p + i < end; i++) found |= (uint64_t)((uint8_t)p[i] < 0x20 || p[i] == 0x7f) << i;
        return found;
    }
    static inline void edged_stops_start(edged_stops* s, const char* p, const char* end) {
        s->block = p;
        s->end = end;
        s->left = edged_controls(p, end);
    }
    static inline const char* edged_next_stop(edged_stops* s) {
        const char* found;
        while (!s->left) {
            if (s->end - s->block <= 64) return s->end;
            s->block += 64;
            s->left = edged_controls(s->block, s->end);
        }
        found = s->block + __builtin_ctzll(s->left);
        s->left &= s->left - 1;
        return found;
    }

    /* Over CRLFs and LFs to the first other byte; a CR without its LF (or whose LF is not there yet) is another byte. */
    static inline const char* edged_newlines_end(const char* p, const char* end) {
    #ifdef __SSE2__
        while (end - p >= 16) {
            unsigned cr = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(edged_load(p), _mm_set1_epi8('\\r')));
            unsigned lf = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(edged_load(p), _mm_set1_epi8('\\n')));
            if ((cr | lf) != 0xffff || (cr << 1 & ~lf & 0xffff)) break;
            p += cr & 0x8000 ? 15 : 16;
        }
    #endif
        while (p < end) {
            if (*p == '\\n') p += 1;
            else if (*p == '\\r' && end - p >= 2 && p[1] == '\\n') p += 2;
            else break;
        }
        return p;
    }

    /* Is there an empty line at or behind p, that is LF LF or LF CR LF? */
    static inline int edged_has_empty_line(const char* p, const char* end) {
        while ((p = memchr(p, '\\n', (size_t)(end - p)))) {
            p++;
            if (p < end && *p == '\\n') return 1;
            if (end - p >= 2 && p[0] == '\\r' && p[1] == '\\n') return 1;
        }
        return 0;
    }

    /* Are the n bytes at p the lower-case word? Only for p[0..n) without control characters: there `| 0x20` folds exactly
       what the letters, digits and '-' of a word are compared to. */
    static inline __attribute__((always_inline)) int edged_word_is(const char* p, const char* word, size_t n) {
        uint64_t a, b, differ = 0;
        if (n >= 8) {
            for (size_t i = 0; i + 8 <= n; i += 8) {
                memcpy(&a, p + i, 8); memcpy(&b, word + i, 8);
                differ |= (a | 0x2020202020202020u) ^ b;
            }
            memcpy(&a, p + n - 8, 8); memcpy(&b, word + n - 8, 8);
            return !(differ | ((a | 0x2020202020202020u) ^ b));
        }
        for (size_t i = 0; i < n; i++) differ |= (uint64_t)((uint8_t)(p[i] | 0x20) ^ (uint8_t)word[i]);
        return !differ;
    }
    #endif
    """
    enum:
        CLASS_TOKEN "EDGED_TOKEN"
        CLASS_HOST "EDGED_HOST"
    ctypedef struct Stops "edged_stops":
        const char* end
    void stops_start "edged_stops_start"(Stops* stops, const char* p, const char* end) noexcept nogil
    const char* next_stop "edged_next_stop"(Stops* stops) noexcept nogil
    bint char_is "edged_is"(char c, int kind) noexcept nogil
    const char* token_end "edged_token_end"(const char* p, const char* end) noexcept nogil
    const char* text_end "edged_text_end"(const char* p, const char* end) noexcept nogil
    const char* target_end "edged_target_end"(const char* p, const char* end, char also) noexcept nogil
    const char* newlines_end "edged_newlines_end"(const char* p, const char* end) noexcept nogil
    bint has_empty_line "edged_has_empty_line"(const char* p, const char* end) noexcept nogil
    bint word_is "edged_word_is"(const char* p, const char* word, size_t n) noexcept nogil

cdef inline bint is_blank(char c) noexcept nogil:
    return c == c' ' or c == c'\t'

cdef inline bint is_digit(char c) noexcept nogil:
    return c'0' <= c <= c'9'

cdef inline int line_end(const char* p, const char* end) noexcept nogil:
    """Bytes of the line end at p: 2 or 1; 0: it is not all there; -1: this is no line end."""
    if unlikely(p == end):
        return 0
    if p[0] == c'\n':
        return 1
    if p[0] != c'\r':
        return -1
    if unlikely(end - p < 2):
        return 0
    return 2 if p[1] == c'\n' else -1

cdef inline const char* blanks_end(const char* p, const char* end) noexcept nogil:
    while p < end and is_blank(p[0]):
        p += 1
    return p

cdef inline Status next_line(Stops* stops, const char** stop, const char** after) noexcept nogil:
    """Where the text of a line stops, and the position after its line end. BAD: another control character stands in it."""
    cdef const char* found = next_stop(stops)
    cdef const char* lf
    while found < stops.end and found[0] == c'\t':
        found = next_stop(stops)
    stop[0] = found
    if unlikely(found == stops.end):
        return MORE
    if found[0] == c'\r':
        lf = next_stop(stops)
        if unlikely(lf != found + 1):
            return BAD
        if unlikely(lf == stops.end):
            return MORE
        found = lf
    after[0] = found + 1
    return DONE if found[0] == c'\n' else BAD

cdef inline bint view_is_word(View text, const char* word, size_t n) noexcept nogil:
    """Compares with a lower-case word of letters, digits and "-", ignoring case; see word_is."""
    return text.n == n and word_is(text.at, word, n)
