/* Records under known keys, honest and not, read in pieces of any size: out comes what was sealed, in its order, up to the first fault,
   and nothing else; and what we seal can be opened. The ciphers are the machine's OpenSSL. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/socket.h>

static ssize_t wire_recv(int fd, void* at, size_t n, int flags);
#undef __SANITIZE_ADDRESS__
#define __SANITIZE_ADDRESS__ 1                   /* then the room calls recv by its name */
#define recv wire_recv
#include "records_room.c"
#undef recv
#include "room.h"
#include "keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ROOM(name) __pyx_f_5edged_5_fast_3run_7records_##name
#define KEYS(name) __pyx_f_5edged_5_fast_3run_4keys_keys_##name
#define PORT(name) __pyx_e_5edged_5_fast_4talk_5wants_PORT_##name

typedef struct __pyx_t_5edged_5_fast_3run_4core_Core Core;
typedef struct __pyx_t_5edged_5_fast_3run_4core_Channel Channel;
typedef struct __pyx_t_5edged_5_fast_3run_4core_TlsLink TlsLink;
typedef struct __pyx_t_5edged_5_fast_3run_4core_Records Records;

enum { ALERT = 21, HANDSHAKE = 22, DATA = 23, SEALED = 98304, WIRE_MOST = 400000, PLAIN_MOST = 300000, OUT_MOST = 65536 };

typedef struct { Core core; Channel channel; TlsLink link; } Side;

static Side client, server;
static uint8_t wire[WIRE_MOST], plain[PLAIN_MOST], content[70000];
static size_t wire_n, wire_at, plain_n;
static int cut_off;                              /* the connection ends behind what is in the wire */

/* What the room takes from others. */

static ssize_t wire_recv(int fd, void* at, size_t n, int flags) {
    size_t have = wire_n - wire_at, take = n < have ? n : have;
    if (take == 0) {
        if (cut_off) return 0;
        errno = EAGAIN;
        return -1;
    }
    if (below(3) == 0) take = 1 + below(take);
    memcpy(at, wire + wire_at, take);
    wire_at += take;
    return (ssize_t)take;
}

static void* take_one(struct __pyx_t_5edged_5_fast_6memory_6buffer_Stock* stock) { return calloc(1, stock->size); }
static void give_one(struct __pyx_t_5edged_5_fast_6memory_6buffer_Stock* stock, void* one) { free(one); }
static void open_stock(struct __pyx_t_5edged_5_fast_6memory_6buffer_Stock* stock, uint32_t size) { stock->size = size; }
static void close_stock(struct __pyx_t_5edged_5_fast_6memory_6buffer_Stock* stock) {}
static void drop_buffer(struct __pyx_t_5edged_5_fast_6memory_6buffer_Buffer* buffer, struct __pyx_t_5edged_5_fast_6memory_6buffer_Blocks* blocks) {
    memset(buffer, 0, sizeof *buffer);
}
static void forget_errors(void) {}
static void* any_cipher(const void* ssl) { return NULL; }
static const char* chosen;
static const char* name_of(const void* cipher) { return chosen; }

static struct __pyx_t_5edged_5_fast_4base_7openssl_OpenSSL functions;

static void prepare(void) {
    Keys keys = keys_with(&functions, 0);
#define USE(name) KEYS(name) = (__typeof__(KEYS(name)))keys.name
    USE(suite), USE(cipher), USE(read), USE(set), USE(turn);
#undef USE
    __pyx_f_5edged_5_fast_6memory_6buffer_stock_open = open_stock;
    __pyx_f_5edged_5_fast_6memory_6buffer_stock_close = close_stock;
    __pyx_f_5edged_5_fast_6memory_6buffer_stock_take = take_one;
    __pyx_f_5edged_5_fast_6memory_6buffer_stock_give = give_one;
    __pyx_f_5edged_5_fast_6memory_6buffer_buffer_drop = drop_buffer;
#define USE(name) functions.name = (__typeof__(functions.name))name
    USE(EVP_CIPHER_fetch), USE(EVP_CIPHER_free), USE(EVP_CIPHER_CTX_new), USE(EVP_CIPHER_CTX_free), USE(EVP_CIPHER_CTX_ctrl);
    USE(EVP_EncryptInit_ex), USE(EVP_EncryptUpdate), USE(EVP_EncryptFinal_ex), USE(EVP_DecryptInit_ex), USE(EVP_DecryptUpdate);
    USE(EVP_DecryptFinal_ex), USE(HMAC), USE(EVP_sha256), USE(EVP_sha384);
#undef USE
    functions.ERR_clear_error = forget_errors;
    functions.SSL_get_current_cipher = (__typeof__(functions.SSL_get_current_cipher))any_cipher;
    functions.SSL_CIPHER_get_name = (__typeof__(functions.SSL_CIPHER_get_name))name_of;
    __pyx_vp_5edged_5_fast_4base_7openssl_openssl = &functions;
    must(ROOM(records_prepare)(&client.core) && ROOM(records_prepare)(&server.core));
    client.core.sealed = malloc(SEALED);
    server.core.sealed = malloc(SEALED);
}

/* Both sides know the same secrets, each from its own end. False: more was read early than can be taken over. */
static int begin(Side* side, const uint8_t* early, size_t early_n) {
    memset(&side->channel, 0, sizeof side->channel);
    memset(&side->link, 0, sizeof side->link);
    side->core.sealed_n = 0;
    side->channel.tls = &side->link;
    side->channel.port.flags = PORT(READABLE) | PORT(WRITABLE);
    side->link.readable = 1;
    Records* r = side->link.records = take_one(&side->core.records);
    memset(side == &server ? r->opening.secret : r->sealing.secret, 1, 48);
    memset(side == &server ? r->sealing.secret : r->opening.secret, 2, 48);
    r->known = 3;
    side->link.sealed_in.at = (char*)early;
    side->link.sealed_in.tail = (uint32_t)early_n;
    int taken = ROOM(records_take_over)(&side->core, &side->channel);
    must(taken == (early_n <= SEALED) && !taken == !side->link.records);
    return taken;
}

/* As the kernel tells it, once more can be read or the end has come. False: there is nothing to tell. */
static int event(Side* side) {
    if (wire_at == wire_n && (!cut_off || side->link.ended)) return 0;
    side->link.readable = 1;
    side->channel.port.flags |= PORT(READABLE);
    return 1;
}

static void finish(Side* side) { ROOM(records_free)(&side->core, side->link.records); }

/* What the client sends. */

static void put(const void* at, size_t n) {
    if (n > WIRE_MOST - wire_n) n = WIRE_MOST - wire_n;
    memcpy(wire + wire_n, at, n);
    wire_n += n;
}

static void seal(uint8_t kind, size_t n, size_t padding) {
    client.core.sealed_n = 0;
    if (padding) {                               /* the room never pads: the type goes with the content, and a zero takes its place */
        content[n++] = kind;
        memset(content + n, 0, padding - 1);
        n += padding - 1;
        kind = 0;
    }
    must(ROOM(seal_one)(&client.core, client.link.records, kind, (char*)content, (uint32_t)n));
    put(client.core.sealed, client.core.sealed_n);
}

/* 0: it goes on; 1: the end, as it should be; 2: a fault; 3: whatever comes of it, no more of ours is opened. */
static int say(const uint8_t** data, size_t* left) {
    uint8_t order = **data, more = *left > 1 ? (*data)[1] : 0;
    size_t n = *left > 2 ? (*data)[2] << 6 | more : more, padding = order & 0x80 ? 1 + below(300) : 0;
    *data += *left < 3 ? *left : 3;
    *left -= *left < 3 ? *left : 3;
    if (wire_n + n + 1000 > WIRE_MOST) return 0;
    memset(content, more, sizeof content);
    switch (order & 15) {
    default:
        if (n + padding > 16384) padding = 0;
        if (plain_n + n > PLAIN_MOST) return 0;
        memset(plain + plain_n, more, n);
        plain_n += n;
        seal(DATA, n, padding);
        return 0;
    case 8:
        content[0] = 24, content[1] = content[2] = 0, content[3] = 1, content[4] = more & 1;
        seal(HANDSHAKE, 5, padding);
        must(KEYS(turn)(&client.core, client.link.records, &client.link.records->sealing, 1));
        return 0;
    case 9:
        content[0] = 1, content[1] = 90;
        seal(ALERT, 2, padding);
        return 0;
    case 10:
        content[0] = 1, content[1] = 0;
        seal(ALERT, 2, padding);
        return 1;
    case 11:
        seal(more == DATA ? 24 : more == ALERT || more == 0 ? 20 : more, n % 16384, padding && more ? 1 : 0);
        return more == HANDSHAKE ? 3 : 2;
    case 12: {
        size_t at = wire_n;
        seal(DATA, n % 16384, padding);
        wire[at + 5 + below(wire_n - at - 5)] ^= (uint8_t)(1 << (more & 7));
        return 2;
    }
    case 13:
        seal(DATA, 16385 + n % 200, 0);
        return 2;
    case 14:
        put(content, n % 300);
        return 3;
    case 15: {
        size_t take = *left < 40 ? *left : 40;
        put(*data, take);
        return 3;
    }
    }
}

static void listen_to(int verdict) {
    size_t got_n = 0, still = 0;
    Channel* c = &server.channel;
    while (!(c->port.flags & (PORT(BROKEN) | PORT(EOF))) && (c->port.flags & PORT(READABLE) || event(&server))) {
        size_t before = wire_at, room = below(4) ? 1 + below(OUT_MOST) : 1 + below(300);
        server.core.sealed_n = 0;
        char* to = malloc(room);
        ssize_t n = ROOM(records_open)(&server.core, c, to, (uint32_t)room);
        must(n >= -1 && n <= (ssize_t)room && server.core.sealed_n <= SEALED);
        if (n > 0) {
            must((size_t)n <= plain_n - got_n && memcmp(to, plain + got_n, (size_t)n) == 0);
            got_n += (size_t)n;
        }
        free(to);
        if (n < 0) must(c->port.flags & PORT(BROKEN));
        still = n == 0 && wire_at == before && c->port.flags & PORT(READABLE) ? still + 1 : 0;
        must(still < 3);                         /* else it would turn for ever */
    }
    if (verdict == 0) {
        must(!(c->port.flags & PORT(BROKEN)) && got_n == plain_n);
        must(!(c->port.flags & PORT(EOF)) == !cut_off);
    }
    if (verdict == 1) must(c->port.flags & PORT(EOF) && got_n == plain_n);
    if (verdict == 2) must(c->port.flags & PORT(BROKEN));
}

/* And back: what the server seals, the client opens. */
static void answer(void) {
    size_t n = below(70000);
    memset(content, 'a', sizeof content);
    server.core.sealed_n = 0;
    ssize_t sealed = ROOM(records_seal)(&server.core, &server.channel, (char*)content, (uint32_t)n);
    must(sealed == (ssize_t)n);
    wire_n = wire_at = 0;
    put(server.core.sealed, server.core.sealed_n);
    size_t opened = 0;
    client.link.readable = 1;
    while (opened < n) {
        static char out[OUT_MOST];
        ssize_t got = ROOM(records_open)(&client.core, &client.channel, out, OUT_MOST);
        must(got >= 0 && (size_t)got <= n - opened && (got == 0 || out[0] == 'a') && (got || event(&client)));
        opened += (size_t)got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n) {
    if (functions.EVP_sha256 == NULL) prepare();
    if (n < 2) return 0;
    throw_dice(data, n);
    chosen = keys_with(&functions, data[0] % 3).name;
    uint8_t flags = data[1];
    data += 2, n -= 2;
    wire_n = wire_at = plain_n = 0;
    cut_off = flags & 1;
    begin(&client, NULL, 0);
    int verdict = 0, keys = 0;
    while (n && verdict == 0) {
        if ((*data & 15) == 8 && ++keys > 30) break;         /* so many without data between are a fault */
        verdict = say(&data, &n);
    }
    wire_at = below(2) ? 0 : below(wire_n + 1);  /* so much was read before the handshake was over */
    if (begin(&server, wire, wire_at)) {
        listen_to(verdict);
        if (verdict == 0 && keys == 0) answer();
        finish(&server);
    }
    finish(&client);
    return 0;
}
