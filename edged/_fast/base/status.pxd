# What a function of the fast floors answers when it does not answer a number.

cdef enum Status:
    BAD = -1                     # the bytes break the protocol; the reason stands in the result
    MORE = 0                     # no fault so far, but incomplete
    DONE = 1
