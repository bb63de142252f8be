# Words that two threads or two processes share. Loads acquire, stores release; all sizes of integer will do.

from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #define edged_load(at) __atomic_load_n((at), __ATOMIC_ACQUIRE)
    #define edged_store(at, value) __atomic_store_n((at), (value), __ATOMIC_RELEASE)
    #define edged_add(at, value) __atomic_fetch_add((at), (value), __ATOMIC_ACQ_REL)
    #define edged_take(at, instead) __atomic_exchange_n((at), (instead), __ATOMIC_ACQ_REL)
    #define edged_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
    static inline int edged_swap32(uint32_t *at, uint32_t *was, uint32_t to) {
        return __atomic_compare_exchange_n(at, was, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline int edged_swap64(uint64_t *at, uint64_t *was, uint64_t to) {
        return __atomic_compare_exchange_n(at, was, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    """
    uint32_t load32 "edged_load"(const uint32_t* at) noexcept nogil
    uint64_t load64 "edged_load"(const uint64_t* at) noexcept nogil
    void store32 "edged_store"(uint32_t* at, uint32_t value) noexcept nogil
    void store64 "edged_store"(uint64_t* at, uint64_t value) noexcept nogil
    uint32_t add32 "edged_add"(uint32_t* at, uint32_t value) noexcept nogil       # answers the value before
    uint64_t add64 "edged_add"(uint64_t* at, uint64_t value) noexcept nogil
    bint swap32 "edged_swap32"(uint32_t* at, uint32_t* was, uint32_t to) noexcept nogil    # true: *at was *was and is `to` now
    bint swap64 "edged_swap64"(uint64_t* at, uint64_t* was, uint64_t to) noexcept nogil    # false: *was is what stood there
    void* take_pointer "edged_take"(void** at, void* instead) noexcept nogil            # answers what stood there
    void fence "edged_fence"() noexcept nogil
