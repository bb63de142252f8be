# Model objects to records of the table file, and records moved from one table file to the next.

from libc.stdint cimport uint32_t
from edged._fast.base.view cimport View
from edged._fast.route.image cimport Image
from edged._fast.route.table cimport Recipe

# Each answers the offset of a new Recipe or Backend. ValueError (also OverflowError as such, UnicodeError) where the object
# holds what cannot be served.
cdef uint32_t write_recipe(Image image, object route) except 0              # its `backend` is left to the caller
cdef uint32_t write_backend(Image image, object backend, object slots) except 0

# The record at `place` of another table file, copied. Answers its new offset.
cdef uint32_t copy_recipe(Image image, const char* old, uint32_t place) except 0
cdef uint32_t copy_backend(Image image, const char* old, uint32_t place) except 0

# The group that claims the recipe's host (a GroupKind), and the host or domain by which that is found.
cdef uint32_t recipe_group(const char* table, const Recipe* recipe, View* host) noexcept nogil
