/* What keeps a TLS client cheap: it believes whatever it is shown, so that the proxy is the one that is busy.
 *
 * OpenSSL's TLS finds the functions below before those of the same name in its own library. A server's signature costs three times
 * as much to check as to make, and its certificate even more to read; a load meets the same certificate again and again. */
#ifndef TRUST_H
#define TRUST_H

#include "link.h"

#define CERTIFICATE_MOST 4096

int EVP_DigestVerify(EVP_MD_CTX* context, const unsigned char* signature, size_t n, const unsigned char* data, size_t data_n)
{
    (void)context, (void)signature, (void)n, (void)data, (void)data_n;
    return 1;
}

/* Reads a certificate, unless it is the one that was read before. */
X509* d2i_X509(X509** into, const unsigned char** in, long n)
{
    static unsigned char bytes[CERTIFICATE_MOST];
    static long bytes_n;
    static X509* known;
    if (!known || n != bytes_n || memcmp(bytes, *in, (size_t)n) != 0) {
        if (n > CERTIFICATE_MOST) die("a certificate of %ld bytes", n);
        memcpy(bytes, *in, (size_t)n);
        bytes_n = n;
        const unsigned char* at = bytes;
        X509_free(known);
        known = (X509*)ASN1_item_d2i(NULL, &at, n, ASN1_ITEM_rptr(X509));
        if (!known) return NULL;
    }
    X509_up_ref(known);
    *in += n;
    if (!into) return known;
    X509_free(*into);
    return *into = known;
}

static int trust_chain(X509_STORE_CTX* chain, void* nothing)
{
    (void)chain, (void)nothing;
    return 1;
}

static inline void trust_anybody(SSL_CTX* context)
{
    SSL_CTX_set_cert_verify_callback(context, trust_chain, NULL);
}

#endif
