# What the values of single fields say: lists, Content-Length, Transfer-Encoding.

from libc.stdint cimport uint32_t, uint64_t
from edged._fast.base.view cimport View, view
from edged._fast.parse.scan cimport is_blank, is_digit, view_is_word

cdef enum Coding:                # what a Transfer-Encoding says, gathered over all its fields
    CODING_CHUNKED = 1           # "chunked" was named, once, and nothing behind it
    CODING_OTHER = 2             # another coding was named before
    CODING_WRONG = 4             # an empty element, or something behind "chunked"

cdef inline bint is_gap(char c) noexcept nogil:
    return is_blank(c) or c == c'\r' or c == c'\n'       # line ends occur in folded values

cdef inline View trimmed(const char* at, const char* stop) noexcept nogil:
    while stop > at and is_gap((stop - 1)[0]):
        stop -= 1
    return view(at, stop - at)

cdef inline bint next_element(View* rest, View* element) noexcept nogil:
    """Takes the next element of a comma separated list, without the blanks around it, maybe empty; False at the end."""
    cdef const char* p = rest.at
    cdef const char* stop = p
    cdef const char* end
    if p == NULL:
        return False
    end = p + rest.n
    while stop < end and stop[0] != c',':
        stop += 1
    rest[0] = view(stop + 1, end - stop - 1) if stop < end else view(NULL, 0)
    while p < stop and is_gap(p[0]):
        p += 1
    while p < stop and is_gap((stop - 1)[0]):
        stop -= 1
    element[0] = view(p, stop - p)
    return True

cdef inline bint read_decimal(View* digits, uint64_t* out) noexcept nogil:
    """Digits only, at least one, below 2^63; leading zeros are taken off `digits`."""
    cdef uint64_t value = 0, digit
    cdef size_t i
    if digits.n == 0:
        return False
    for i in range(digits.n):
        if not is_digit(digits.at[i]):
            return False
        digit = <uint64_t>(digits.at[i] - c'0')
        if value > (<uint64_t>0x7fffffffffffffff - digit) // 10:
            return False
        value = value * 10 + digit
    while digits.n > 1 and digits.at[0] == c'0':
        digits[0] = view(digits.at + 1, digits.n - 1)
    out[0] = value
    return True

cdef inline bint read_length(View* value, uint64_t* out) noexcept nogil:
    """One number, or a list of equal ones, which becomes one in `value`. False for anything else."""
    cdef View rest = value[0], element
    cdef uint64_t other
    if not next_element(&rest, value) or not read_decimal(value, out):
        return False
    while next_element(&rest, &element):
        if not read_decimal(&element, &other) or other != out[0]:
            return False
    return True

cdef inline uint32_t read_codings(View value, uint32_t before) noexcept nogil:
    """Adds the codings of one Transfer-Encoding field to those of the fields `before` it."""
    cdef uint32_t found = before
    cdef View rest = value, element
    while next_element(&rest, &element):
        if found & CODING_CHUNKED or element.n == 0:
            return CODING_WRONG
        found |= CODING_CHUNKED if view_is_word(element, "chunked", 7) else CODING_OTHER
    return found
