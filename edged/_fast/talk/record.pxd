# What is noted of an exchange when its request is there: captured fields, and the id that it gets.

from edged._fast.parse.head cimport Head
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Shared

cdef void record_request(Shared* s, Exchange* x, const Head* head) noexcept nogil        # by Shared.plan, which must be there
