"""The functions of the one OpenSSL in this process. See openssl.pxd."""

from collections.abc import Mapping

from libc.stdint cimport uintptr_t

NAMES: tuple[str, ...] = (
    "SSL_new", "SSL_free", "SSL_set_accept_state", "SSL_set_connect_state", "SSL_set_bio", "SSL_do_handshake", "SSL_read",
    "SSL_write", "SSL_shutdown", "SSL_set_shutdown", "SSL_get_error", "SSL_has_pending", "SSL_ctrl", "SSL_use_cert_and_key", "SSL_set1_host",
    "SSL_set_alpn_protos", "SSL_get0_alpn_selected", "SSL_get_version", "SSL_get_current_cipher", "SSL_CIPHER_get_name",
    "SSL_session_reused", "SSL_get_verify_result", "X509_verify_cert_error_string", "SSL_get1_session", "SSL_set_session",
    "SSL_SESSION_free", "SSL_SESSION_is_resumable",
    "SSL_CTX_ctrl", "SSL_CTX_callback_ctrl", "SSL_CTX_set_alpn_select_cb", "SSL_CTX_set_tlsext_ticket_key_evp_cb",
    "SSL_CTX_set_num_tickets",
    "BIO_meth_new", "BIO_meth_set_read", "BIO_meth_set_write", "BIO_meth_set_ctrl", "BIO_meth_free", "BIO_new", "BIO_free",
    "BIO_up_ref", "BIO_set_data", "BIO_get_data", "BIO_set_init", "BIO_set_flags", "BIO_clear_flags", "SSL_get_rbio",
    "ERR_peek_error", "ERR_clear_error", "ERR_reason_error_string", "CRYPTO_malloc", "CRYPTO_free",
    "SSL_version", "EVP_CIPHER_fetch", "EVP_EncryptInit_ex", "EVP_DecryptInit_ex", "EVP_MAC_CTX_set_params", "RAND_bytes",
    "d2i_X509", "X509_free", "d2i_AutoPrivateKey", "EVP_PKEY_free", "X509_check_private_key", "OPENSSL_sk_new_null",
    "OPENSSL_sk_push", "OPENSSL_sk_free",
    "SSL_get0_peer_certificate", "i2d_X509", "X509_digest", "EVP_sha1", "X509_get_version", "X509_get0_serialNumber", "X509_get0_notBefore",
    "X509_get0_notAfter", "X509_get_subject_name", "X509_get_issuer_name", "X509_NAME_entry_count", "X509_NAME_get_entry",
    "X509_NAME_ENTRY_get_object", "X509_NAME_ENTRY_get_data", "OBJ_obj2nid", "OBJ_nid2sn", "OBJ_obj2txt", "ASN1_STRING_get0_data",
    "ASN1_STRING_length", "ASN1_STRING_type",
    "SSL_CTX_set_keylog_callback", "EVP_CIPHER_free", "EVP_DecryptUpdate", "EVP_DecryptFinal_ex",
    "EVP_EncryptUpdate", "EVP_EncryptFinal_ex", "EVP_CIPHER_CTX_ctrl", "EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free", "HMAC", "EVP_sha256", "EVP_sha384",
)


def install(addresses: Mapping[str, int]) -> None:
    """Where each function of NAMES is in this process. Raises KeyError for one that is missing; then nothing has changed."""
    if sizeof(OpenSSL) != len(NAMES) * sizeof(void*):
        raise RuntimeError("openssl.pxd and NAMES name different functions")
    found = [addresses[name] for name in NAMES]
    for number, address in enumerate(found):
        (<void**>&openssl)[<size_t>number] = <void*><uintptr_t>address
