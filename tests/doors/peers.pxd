# Addresses of peers, for doors.

from edged._fast.parse.proxyline cimport ProxyAddress

cdef int set_address(ProxyAddress* out, str text) except -1          # "192.0.2.1:80" or "[2001:db8::1]:80"
