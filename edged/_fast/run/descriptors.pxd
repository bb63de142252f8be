# The engine's own table of descriptors. Threads of one process share theirs, and pay for the sharing at each accept, read, write
# and close; a thread that has left it pays nothing, as if it were alone.

cdef struct Descriptors:
    int process                  # pidfd of our process; -1: the table is shared, as ever

# Called by the engine's thread as it begins: leaves the shared table and closes its copies of all but `keep` and 0, 1, 2. Where the
# kernel does not have what this needs (Linux 5.9), or a filter forbids it, nothing changes.
cdef void descriptors_part(Descriptors* own, const int* keep, int n) noexcept nogil
cdef int descriptors_bring(const Descriptors* own, int fd) noexcept nogil     # ours for one of the Python thread's; -1: it failed
cdef int descriptors_copy(const Descriptors* own, int fd) noexcept nogil      # likewise, but ours to close with close(), whatever table we have
cdef void descriptors_close(const Descriptors* own, int fd) noexcept nogil    # one that was brought
