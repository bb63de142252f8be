# The functions of the one OpenSSL in this process: the library that pyOpenSSL has loaded. No header of it is needed: all that it
# hands out stays opaque here. `install` fills in the addresses before anything is called; edged/tls/openssl.py finds them.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    SSL_ERROR_NONE = 0
    SSL_ERROR_SSL = 1
    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_WANT_WRITE = 3
    SSL_ERROR_SYSCALL = 5
    SSL_ERROR_ZERO_RETURN = 6
    SSL_CTRL_MODE = 33
    SSL_CTRL_SET_TLSEXT_HOSTNAME = 55
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB = 63
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP = 71
    SSL_MODE_ENABLE_PARTIAL_WRITE = 1
    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER = 2
    SSL_MODE_RELEASE_BUFFERS = 16
    SSL_TLSEXT_ERR_OK = 0
    SSL_TLSEXT_ERR_NOACK = 3
    BIO_CTRL_EOF = 2
    BIO_CTRL_FLUSH = 11
    BIO_FLAGS_READ = 1
    BIO_FLAGS_WRITE = 2
    BIO_FLAGS_SHOULD_RETRY = 8
    BIO_TYPE_SOURCE_SINK = 0x400
    X509_V_OK = 0
    TLS1_3_VERSION = 0x304
    OSSL_PARAM_UTF8_STRING = 4
    OSSL_PARAM_OCTET_STRING = 5

ctypedef int (*Biotalk)(void* bio, char* at, int n) noexcept nogil
ctypedef long (*Bioctrl)(void* bio, int command, long number, void* what) noexcept nogil
ctypedef int (*Alpnselect)(void* ssl, const uint8_t** out, uint8_t* n, const uint8_t* offered, unsigned int offered_n, void* arg) noexcept nogil
ctypedef int (*Ticketkeys)(void* ssl, unsigned char* name, unsigned char* iv, void* cipher, void* mac, int encrypt) noexcept nogil
ctypedef void (*Keylog)(const void* ssl, const char* line) noexcept nogil
ctypedef void (*Callback)() noexcept nogil

cdef struct Param:               # OSSL_PARAM; a list of them ends with one whose key is NULL
    const char* key
    unsigned int kind
    void* at
    size_t n
    size_t n_back                # filled in by who answers

cdef struct OpenSSL:             # in the order of openssl.NAMES
    # conversations
    void* (*SSL_new)(void* context) noexcept nogil
    void (*SSL_free)(void* ssl) noexcept nogil
    void (*SSL_set_accept_state)(void* ssl) noexcept nogil
    void (*SSL_set_connect_state)(void* ssl) noexcept nogil
    void (*SSL_set_bio)(void* ssl, void* read, void* write) noexcept nogil
    int (*SSL_do_handshake)(void* ssl) noexcept nogil
    int (*SSL_read)(void* ssl, void* at, int n) noexcept nogil
    int (*SSL_write)(void* ssl, const void* at, int n) noexcept nogil
    int (*SSL_shutdown)(void* ssl) noexcept nogil
    void (*SSL_set_shutdown)(void* ssl, int mode) noexcept nogil
    int (*SSL_get_error)(const void* ssl, int answer) noexcept nogil
    int (*SSL_has_pending)(const void* ssl) noexcept nogil
    long (*SSL_ctrl)(void* ssl, int command, long number, void* what) noexcept nogil
    int (*SSL_use_cert_and_key)(void* ssl, void* x509, void* key, void* chain, int instead) noexcept nogil
    int (*SSL_set1_host)(void* ssl, const char* name) noexcept nogil
    int (*SSL_set_alpn_protos)(void* ssl, const unsigned char* protocols, unsigned int n) noexcept nogil     # 0: done
    void (*SSL_get0_alpn_selected)(const void* ssl, const unsigned char** at, unsigned int* n) noexcept nogil
    const char* (*SSL_get_version)(const void* ssl) noexcept nogil
    const void* (*SSL_get_current_cipher)(const void* ssl) noexcept nogil
    const char* (*SSL_CIPHER_get_name)(const void* cipher) noexcept nogil
    int (*SSL_session_reused)(const void* ssl) noexcept nogil
    long (*SSL_get_verify_result)(const void* ssl) noexcept nogil
    const char* (*X509_verify_cert_error_string)(long result) noexcept nogil
    void* (*SSL_get1_session)(void* ssl) noexcept nogil
    int (*SSL_set_session)(void* ssl, void* session) noexcept nogil
    void (*SSL_SESSION_free)(void* session) noexcept nogil
    int (*SSL_SESSION_is_resumable)(const void* session) noexcept nogil
    # contexts
    long (*SSL_CTX_ctrl)(void* context, int command, long number, void* what) noexcept nogil
    long (*SSL_CTX_callback_ctrl)(void* context, int command, Callback callback) noexcept nogil
    void (*SSL_CTX_set_alpn_select_cb)(void* context, Alpnselect callback, void* arg) noexcept nogil
    int (*SSL_CTX_set_tlsext_ticket_key_evp_cb)(void* context, Ticketkeys callback) noexcept nogil
    int (*SSL_CTX_set_num_tickets)(void* context, size_t n) noexcept nogil
    # byte channels
    void* (*BIO_meth_new)(int kind, const char* name) noexcept nogil
    int (*BIO_meth_set_read)(void* method, Biotalk read) noexcept nogil
    int (*BIO_meth_set_write)(void* method, Biotalk write) noexcept nogil
    int (*BIO_meth_set_ctrl)(void* method, Bioctrl ctrl) noexcept nogil
    void (*BIO_meth_free)(void* method) noexcept nogil
    void* (*BIO_new)(const void* method) noexcept nogil
    int (*BIO_free)(void* bio) noexcept nogil
    int (*BIO_up_ref)(void* bio) noexcept nogil
    void (*BIO_set_data)(void* bio, void* data) noexcept nogil
    void* (*BIO_get_data)(void* bio) noexcept nogil
    void (*BIO_set_init)(void* bio, int init) noexcept nogil
    void (*BIO_set_flags)(void* bio, int flags) noexcept nogil
    void (*BIO_clear_flags)(void* bio, int flags) noexcept nogil
    void* (*SSL_get_rbio)(const void* ssl) noexcept nogil
    # errors and memory
    unsigned long (*ERR_peek_error)() noexcept nogil
    void (*ERR_clear_error)() noexcept nogil
    const char* (*ERR_reason_error_string)(unsigned long error) noexcept nogil
    void* (*CRYPTO_malloc)(size_t n, const char* file, int line) noexcept nogil
    void (*CRYPTO_free)(void* at, const char* file, int line) noexcept nogil
    # tickets
    int (*SSL_version)(const void* ssl) noexcept nogil
    void* (*EVP_CIPHER_fetch)(void* library, const char* name, const char* properties) noexcept nogil
    int (*EVP_EncryptInit_ex)(void* context, const void* cipher, void* engine, const uint8_t* key, const uint8_t* iv) noexcept nogil
    int (*EVP_DecryptInit_ex)(void* context, const void* cipher, void* engine, const uint8_t* key, const uint8_t* iv) noexcept nogil
    int (*EVP_MAC_CTX_set_params)(void* context, const Param* params) noexcept nogil
    int (*RAND_bytes)(uint8_t* at, int n) noexcept nogil
    # certificates and keys
    void* (*d2i_X509)(void** reuse, const uint8_t** at, long n) noexcept nogil
    void (*X509_free)(void* x509) noexcept nogil
    void* (*d2i_AutoPrivateKey)(void** reuse, const uint8_t** at, long n) noexcept nogil
    void (*EVP_PKEY_free)(void* key) noexcept nogil
    int (*X509_check_private_key)(const void* x509, const void* key) noexcept nogil
    void* (*OPENSSL_sk_new_null)() noexcept nogil
    int (*OPENSSL_sk_push)(void* stack, const void* what) noexcept nogil     # how many there are then; 0: no memory
    void (*OPENSSL_sk_free)(void* stack) noexcept nogil                      # not what is in it
    # what a certificate says; nothing that is answered here is the caller's to free
    void* (*SSL_get0_peer_certificate)(const void* ssl) noexcept nogil
    int (*i2d_X509)(const void* x509, unsigned char** at) noexcept nogil                 # moves `at` behind; NULL: only tells how many bytes
    int (*X509_digest)(const void* x509, const void* kind, unsigned char* out, unsigned int* n) noexcept nogil
    const void* (*EVP_sha1)() noexcept nogil
    long (*X509_get_version)(const void* x509) noexcept nogil                            # 0: version 1
    const void* (*X509_get0_serialNumber)(const void* x509) noexcept nogil
    const void* (*X509_get0_notBefore)(const void* x509) noexcept nogil
    const void* (*X509_get0_notAfter)(const void* x509) noexcept nogil
    const void* (*X509_get_subject_name)(const void* x509) noexcept nogil
    const void* (*X509_get_issuer_name)(const void* x509) noexcept nogil
    int (*X509_NAME_entry_count)(const void* name) noexcept nogil
    void* (*X509_NAME_get_entry)(const void* name, int number) noexcept nogil
    const void* (*X509_NAME_ENTRY_get_object)(const void* entry) noexcept nogil
    const void* (*X509_NAME_ENTRY_get_data)(const void* entry) noexcept nogil
    int (*OBJ_obj2nid)(const void* object) noexcept nogil                                # 0: unknown
    const char* (*OBJ_nid2sn)(int nid) noexcept nogil
    int (*OBJ_obj2txt)(char* out, int room, const void* object, int no_name) noexcept nogil
    const unsigned char* (*ASN1_STRING_get0_data)(const void* text) noexcept nogil
    int (*ASN1_STRING_length)(const void* text) noexcept nogil
    int (*ASN1_STRING_type)(const void* text) noexcept nogil
    # records of our own
    void (*SSL_CTX_set_keylog_callback)(void* context, Keylog callback) noexcept nogil
    void (*EVP_CIPHER_free)(void* cipher) noexcept nogil
    int (*EVP_DecryptUpdate)(void* context, unsigned char* out, int* n, const unsigned char* at, int at_n) noexcept nogil
    int (*EVP_DecryptFinal_ex)(void* context, unsigned char* out, int* n) noexcept nogil
    int (*EVP_EncryptUpdate)(void* context, unsigned char* out, int* n, const unsigned char* at, int at_n) noexcept nogil
    int (*EVP_EncryptFinal_ex)(void* context, unsigned char* out, int* n) noexcept nogil
    int (*EVP_CIPHER_CTX_ctrl)(void* context, int command, int number, void* what) noexcept nogil
    void* (*EVP_CIPHER_CTX_new)() noexcept nogil
    void (*EVP_CIPHER_CTX_free)(void* context) noexcept nogil
    unsigned char* (*HMAC)(const void* kind, const void* key, int key_n, const unsigned char* at, size_t n, unsigned char* out, unsigned int* out_n) noexcept nogil
    const void* (*EVP_sha256)() noexcept nogil
    const void* (*EVP_sha384)() noexcept nogil

cdef OpenSSL openssl
