/* See keys.h. */

#define _GNU_SOURCE 1
#include "keys_room.c"
#include "keys.h"

#define ROOM(name) __pyx_f_5edged_5_fast_3run_4keys_keys_##name

Keys keys_with(void* openssl, int suite) {
    static const struct __pyx_t_5edged_5_fast_3run_4keys_Suite known[] = {
        {"TLS_AES_128_GCM_SHA256", "AES-128-GCM", 16, 32}, {"TLS_AES_256_GCM_SHA384", "AES-256-GCM", 32, 48},
        {"TLS_CHACHA20_POLY1305_SHA256", "ChaCha20-Poly1305", 32, 32},
    };
    memcpy(__pyx_v_5edged_5_fast_3run_4keys_suites, known, sizeof known);
    __pyx_vp_5edged_5_fast_4base_7openssl_openssl = openssl;
    Keys keys = {known[suite].name, ROOM(suite), ROOM(cipher), ROOM(read), ROOM(set), ROOM(turn)};
    return keys;
}
