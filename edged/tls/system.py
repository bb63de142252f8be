"""The authorities that the system trusts, for listeners that name none of their own.

OpenSSL looks where it was built to look, and says nothing if there is nothing: the one of a wheel was built for no system. Distributions
keep one file with all authorities; an operator names another by the variables that OpenSSL's programs read.
"""

import os
from collections.abc import Mapping

from edged.errors import EdgedError

__all__ = ["FILES", "NoAuthorities", "system_authorities"]

FILES = (
    "/etc/ssl/certs/ca-certificates.crt",                    # Debian, Ubuntu, Arch, Gentoo, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",     # Fedora, RHEL and their like
    "/etc/pki/tls/certs/ca-bundle.crt",                      # those of old
    "/etc/ssl/ca-bundle.pem",                                # SUSE
    "/etc/ssl/cert.pem",                                     # Alpine without its package of authorities, FreeBSD
)


class NoAuthorities(EdgedError):
    """The system trusts nobody, as far as can be seen."""


def system_authorities(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """A file of authorities, and a directory of them by the hashes of their names; one of them may be empty. Raises NoAuthorities."""
    file, folder = environ.get("SSL_CERT_FILE", ""), environ.get("SSL_CERT_DIR", "")
    if file or folder:
        for variable, path, is_there in (("SSL_CERT_FILE", file, os.path.isfile), ("SSL_CERT_DIR", folder, _are_folders)):
            if path and not is_there(path):
                raise NoAuthorities(f"{variable}: there is no {path}")
        return file, folder
    for path in FILES:
        if os.path.isfile(path):
            return path, ""
    raise NoAuthorities(f"the system has none at {', '.join(FILES)}: install its package ca-certificates, or set SSL_CERT_FILE")


def _are_folders(paths: str) -> bool:
    """One of several, with colons between them, will do."""
    return any(os.path.isdir(path) for path in paths.split(":"))
