"""PEM: certificates and keys in a text, each with its line. Keys never show in what is raised or printed."""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

__all__ = ["TEXT_MOST", "BadPem", "Block", "Found", "Key", "Material", "blocks", "has_key", "read_material"]

TEXT_MOST = 4 << 20                              # characters; the authorities of a whole system have about 250,000

_MARK = re.compile(r"^-----(BEGIN|END) ([^\r\n]*?)-----[ \t\r]*$", re.MULTILINE)
_HEADERS = re.compile(r"(?:[A-Za-z0-9-]+:[^\n]*\n(?:[ \t]+[^\s][^\n]*\n)*)+")
_BLANKS = str.maketrans("", "", " \t\r\n")

_ROUTE_MOST, _FILE_MOST = 300, 3000              # each costs time; a system trusts some 150 authorities

_KEYS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ECDSA PRIVATE KEY"})
_LOCKED_KEY = "ENCRYPTED PRIVATE KEY"
_PUBLIC_KEYS = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY", "DSA PUBLIC KEY", "ECDSA PUBLIC KEY"})
_PASSED_OVER = frozenset({"EC PARAMETERS"})
_PASSED_OVER_IN_FILES = _PASSED_OVER | {"DH PARAMETERS"}     # bundles made for HAProxy may hold some

_NO_KEY = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)       # what the readers of keys raise


class BadPem(ValueError):
    """The text is not what it should be, at one line of it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line, self.message = line, message


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between BEGIN and END."""

    label: str
    line: int                                    # of BEGIN, the first of the text being 1
    der: bytes = field(repr=False)               # of a key with `headers`: still encrypted
    text: str = field(repr=False)                # BEGIN to END
    headers: bool = False                        # "Proc-Type: 4,ENCRYPTED" and the like


@dataclass(frozen=True, slots=True)
class Key:
    """A private key."""

    line: int
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey = field(repr=False)

    def der(self) -> bytes:
        """PKCS#8."""
        return self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True)
class Found:
    """A certificate."""

    line: int
    certificate: x509.Certificate
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Material:
    """All that a text holds, in its order."""

    certificates: tuple[Found, ...] = ()
    keys: tuple[Key, ...] = ()
    public_keys: tuple[int, ...] = ()            # lines


def blocks(text: str, *, lenient: bool = False) -> Iterator[Block]:
    """The blocks of a text; what is outside of them is passed over. So is, if `lenient`, what is no whole block: no END of the same
    name, or no base64 (openshift-routes.md 2.2); otherwise BadPem is raised."""
    if len(text) > TEXT_MOST:
        raise BadPem(0, f"{len(text)} characters are no PEM text of certificates: at most {TEXT_MOST}")
    begin: re.Match[str] | None = None
    at, line, begin_line = 0, 1, 0
    for mark in _MARK.finditer(text):
        line += text.count("\n", at, mark.start())
        at = mark.start()
        if mark[1] == "BEGIN":
            if begin is not None and not lenient:
                raise BadPem(begin_line, f'"BEGIN {begin[2]}" has no END')
            begin, begin_line = mark, line
            continue
        if begin is not None and begin[2] == mark[2]:
            block = _block(text, begin, mark, begin_line)
            if block is not None:
                yield block
            elif not lenient:
                raise BadPem(begin_line, f'what follows "BEGIN {begin[2]}" is no base64')
        elif not lenient:
            raise BadPem(line, f'"END {mark[2]}" has no BEGIN')
        begin = None
    if begin is not None and not lenient:
        raise BadPem(begin_line, f'"BEGIN {begin[2]}" has no END')


def _block(text: str, begin: re.Match[str], end: re.Match[str], line: int) -> Block | None:
    body_at = begin.end() + 1
    headers = _HEADERS.match(text, body_at, end.start())
    body = text[headers.end() if headers else body_at:end.start()].translate(_BLANKS)
    try:
        der = binascii.a2b_base64(body, strict_mode=True)
    except ValueError:
        return None
    return Block(begin[2], line, der, text[begin.start():end.end()] + "\n", headers is not None)


def has_key(text: str) -> bool:
    """Whether some block of a text is a private key, of whatever sort."""
    return any(mark[1] == "BEGIN" and mark[2].endswith("PRIVATE KEY") for mark in _MARK.finditer(text))


def read_material(text: str, *, lenient: bool = False, passphrase: bytes | None = None) -> Material:
    """Everything in a text, parsed; raises BadPem. `lenient`: as in routes, which hold no encrypted keys either."""
    certificates: list[Found] = []
    keys: list[Key] = []
    public_keys: list[int] = []
    for block in blocks(text, lenient=lenient):
        if len(certificates) + len(keys) >= (_ROUTE_MOST if lenient else _FILE_MOST):
            raise BadPem(block.line, "these are too many certificates and keys")
        if block.label == "CERTIFICATE":
            certificates.append(Found(block.line, _certificate(block), block.der))
        elif block.label in _KEYS or block.label == _LOCKED_KEY:
            keys.append(Key(block.line, _private_key(block, passphrase, lenient=lenient)))
        elif block.label in _PUBLIC_KEYS:
            _check_public_key(block)
            public_keys.append(block.line)
        elif block.label not in (_PASSED_OVER if lenient else _PASSED_OVER_IN_FILES):
            raise BadPem(block.line, f'"BEGIN {block.label[:60]}" is neither a certificate nor a key that can be used')
    return Material(tuple(certificates), tuple(keys), tuple(public_keys))


def _certificate(block: Block) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(block.der)
    except (ValueError, x509.InvalidVersion):
        raise BadPem(block.line, "this certificate does not parse") from None


def _private_key(
    block: Block, passphrase: bytes | None, *, lenient: bool
) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey:
    locked = block.headers or block.label == _LOCKED_KEY
    if locked and lenient:
        raise BadPem(block.line, "this key is encrypted: nobody here could open it")
    if locked and passphrase is None:
        raise BadPem(block.line, "this key is encrypted: [tls] key_passphrase_file or key_passphrase_env has to open it")
    try:
        # That the primes are primes would take a hundred times as long to see as all the rest; the arithmetic is checked below.
        if block.headers:
            key = load_pem_private_key(block.text.encode(), passphrase, unsafe_skip_rsa_key_validation=True)
        else:
            key = load_der_private_key(block.der, passphrase if locked else None, unsafe_skip_rsa_key_validation=True)
    except _NO_KEY:
        raise BadPem(block.line, "the passphrase does not open this key" if locked else "this private key does not parse") from None
    if isinstance(key, rsa.RSAPrivateKey) and not _is_sound(key.private_numbers()):
        raise BadPem(block.line, "the numbers of this RSA key do not fit together")
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        raise BadPem(block.line, "this key is none that signs for TLS: RSA and ECDSA are")
    return key


def _is_sound(numbers: rsa.RSAPrivateNumbers) -> bool:
    p, q, d, public = numbers.p, numbers.q, numbers.d, numbers.public_numbers
    return (
        min(p, q, d) > 2 and public.n % 2 == 1 and public.e % 2 == 1 and p * q == public.n
        and d * public.e % (p - 1) == 1 and d * public.e % (q - 1) == 1
        and numbers.dmp1 == d % (p - 1) and numbers.dmq1 == d % (q - 1) and numbers.iqmp * q % p == 1
    )


def _check_public_key(block: Block) -> None:
    try:
        load_der_public_key(block.der)
    except _NO_KEY:
        raise BadPem(block.line, "this public key does not parse") from None
