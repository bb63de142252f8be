import base64
import contextlib
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from edged.tls.pem import BadPem, blocks, has_key, read_material
from tests.scenarios.harness.authority import key_of
from tests.tls.odd import key_pem, made, pem, public_pem

BLOCK = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def leaf():
    return pem(made("a.example", key_of("ec")))


def refusal(text, **words):
    with pytest.raises(BadPem) as caught:
        read_material(text, **words)
    return str(caught.value)


def test_text_around_blocks_is_passed_over_and_lines_are_counted():
    text = f"# one\n{BLOCK}Bag Attributes\n  friendlyName: x\n{BLOCK}\n\ntail"
    for lenient in (False, True):
        assert [(block.label, block.line, block.der) for block in blocks(text, lenient=lenient)] == [
            ("CERTIFICATE", 2, b"\0\1\2"), ("CERTIFICATE", 7, b"\0\1\2"),
        ]


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("-----\n", "-----  \t\n"), lambda text: text.rstrip("\n"),
    lambda text: text.replace("AAEC", "A A\tE\n\n  C "), lambda text: "\ufeff\n" + text,
])
def test_blanks_do_not_matter(change):
    assert [block.der for block in blocks(change(BLOCK))] == [b"\0\1\2"]


@pytest.mark.parametrize(("text", "message"), [
    (f"x\n{BLOCK[:35]}", 'line 2: "BEGIN CERTIFICATE" has no END'),
    (f"{BLOCK[:28]}{BLOCK}", 'line 1: "BEGIN CERTIFICATE" has no END'),
    ("\n\n-----END CERTIFICATE-----", 'line 3: "END CERTIFICATE" has no BEGIN'),
    (BLOCK.replace("END CERT", "END X"), 'line 3: "END XIFICATE" has no BEGIN'),
    (BLOCK.replace("AAEC", "A*EC"), 'line 1: what follows "BEGIN CERTIFICATE" is no base64'),
    (BLOCK.replace("AAEC", "AAE"), 'line 1: what follows "BEGIN CERTIFICATE" is no base64'),
    (BLOCK.replace("AAEC", "AAE=AAEC"), 'line 1: what follows "BEGIN CERTIFICATE" is no base64'),
    (BLOCK.replace("AAEC", "ÄÄEC"), 'line 1: what follows "BEGIN CERTIFICATE" is no base64'),
])
def test_what_is_no_whole_block_is_told_with_its_line_or_dropped(text, message):
    with pytest.raises(BadPem) as caught:
        list(blocks(text))
    assert str(caught.value) == message
    sound = 2 if text.endswith(BLOCK) else 1     # a BEGIN too many before a whole one does not spoil it
    assert [block.der for block in blocks(text + "\n" + BLOCK, lenient=True)] == [b"\0\1\2"] * sound


def test_a_text_cut_anywhere_raises_nothing_else(leaf):
    text = leaf + key_pem(key_of("ec"), "old", "x") + leaf
    for cut in range(len(text)):
        for lenient in (False, True):
            with contextlib.suppress(BadPem):
                read_material(text[:cut], lenient=lenient, passphrase=b"x")


def test_a_text_that_is_too_long_is_refused():
    assert "at most" in refusal("x" * ((4 << 20) + 1), lenient=True)
    assert "too many" in refusal(pem(made("a", key_of("ec"))) * 301, lenient=True)


def test_many_begins_are_read_once():
    assert list(blocks("-----BEGIN A-----\n" * 50_000 + BLOCK.split("\n", 1)[1], lenient=True)) == []


@pytest.mark.parametrize("style", ["pkcs8", "old"])
@pytest.mark.parametrize("sort", ["ec", "ec384", "rsa"])
def test_keys_of_every_shape(sort, style):
    key = key_of(sort)
    for lenient in (False, True):
        (found,) = read_material("\n" + key_pem(key, style), lenient=lenient).keys
        assert found.line == 2
        assert found.private.private_numbers() == key.private_numbers()
        assert read_material(f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(found.der()).decode()}\n-----END PRIVATE KEY-----").keys


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ECDSA PRIVATE KEY"])
def test_labels_of_keys(label):
    text = key_pem(key_of("ec"), "old").replace("EC PRIVATE KEY", label)
    assert len(read_material(text, lenient=True).keys) == 1
    assert has_key(text)


@pytest.mark.parametrize("label", ["PUBLIC KEY", "ECDSA PUBLIC KEY", "DSA PUBLIC KEY", "RSA PUBLIC KEY"])
def test_labels_of_public_keys(label):
    text = public_pem(key_of("rsa"), "pkcs1" if label.startswith("RSA") else "spki")
    text = re.sub("(BEGIN|END) [A-Z ]+", rf"\1 {label}", text)
    assert read_material("\n" + text, lenient=True).public_keys == (2,)
    assert not has_key(text)


@pytest.mark.parametrize(
    "label", ["X509 CRL", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST", "OPENSSH PRIVATE KEY", "EC PUBLIC KEY", "PKCS7", ""]
)
def test_other_labels_are_refused(leaf, label):
    for lenient in (False, True):
        told = refusal(leaf + BLOCK.replace("CERTIFICATE", label), lenient=lenient)
        assert told.endswith("is neither a certificate nor a key that can be used")


def test_parameters_are_passed_over():
    assert read_material(BLOCK.replace("CERTIFICATE", "EC PARAMETERS"), lenient=True).keys == ()
    parameters = BLOCK.replace("CERTIFICATE", "DH PARAMETERS")
    assert read_material(parameters).keys == ()
    assert "DH PARAMETERS" in refusal(parameters, lenient=True)


@pytest.mark.parametrize(("label", "message"), [
    ("CERTIFICATE", "this certificate does not parse"), ("PRIVATE KEY", "this private key does not parse"),
    ("PUBLIC KEY", "this public key does not parse"),
])
def test_a_block_whose_content_does_not_parse_is_an_error(label, message):
    for lenient in (False, True):
        assert refusal("\n" + BLOCK.replace("CERTIFICATE", label), lenient=lenient) == f"line 2: {message}"


@pytest.mark.parametrize("style", ["pkcs8", "old"])
@pytest.mark.parametrize("sort", ["ec", "rsa"])
def test_encrypted_keys(sort, style):
    key = key_of(sort)
    text = key_pem(key, style, "sesame")
    (found,) = read_material(text, passphrase=b"sesame").keys
    assert found.private.private_numbers() == key.private_numbers()
    assert refusal(text, passphrase=b"simsim") == "line 1: the passphrase does not open this key"
    assert "key_passphrase_file" in refusal(text)
    assert "encrypted" in refusal(text, lenient=True, passphrase=b"sesame")


def test_a_passphrase_does_no_harm_to_plain_keys():
    assert len(read_material(key_pem(key_of("ec")), passphrase=b"sesame").keys) == 1


def test_keys_that_do_not_sign_for_tls():
    text = key_pem(dsa.generate_private_key(1024))
    assert "RSA and ECDSA" in refusal(text)


@pytest.mark.parametrize("change", ["d", "dmp1", "dmq1", "iqmp"])
def test_an_rsa_key_whose_numbers_do_not_fit_is_refused(change):
    numbers = key_of("rsa").private_numbers()
    given = {name: getattr(numbers, name) for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp")}
    given[change] += 2
    broken = rsa.RSAPrivateNumbers(**given, public_numbers=numbers.public_numbers).private_key(unsafe_skip_rsa_key_validation=True)
    assert refusal(key_pem(broken)) == "line 1: the numbers of this RSA key do not fit together"


def test_nothing_that_is_shown_holds_a_key():
    key = key_of("ec")
    for text, words in ((key_pem(key), {}), (key_pem(key, "old", "x"), {"passphrase": b"x"})):
        body = text.split("\n")[-3][:20]
        material = read_material(text, **words)
        shown = [repr(material), repr(material.keys[0]), repr(list(blocks(text))), refusal(text.replace(body, body.swapcase()), **words)]
        secret = str(key.private_numbers().private_value)
        assert not any(body in one or secret in one or "\\x" in one for one in shown)


def test_order_is_kept(leaf):
    other = pem(made("b.example", key_of("rsa")))
    text = key_pem(key_of("rsa")) + leaf + key_pem(key_of("ec")) + other
    material = read_material(text)
    assert [one.certificate.subject.rfc4514_string() for one in material.certificates] == ["CN=a.example", "CN=b.example"]
    assert isinstance(material.keys[0].private, rsa.RSAPrivateKey)
    assert isinstance(material.keys[1].private, ec.EllipticCurvePrivateKey)
    assert [one.line for one in material.certificates] == [
        number for number, line in enumerate(text.splitlines(), 1) if line == "-----BEGIN CERTIFICATE-----"
    ]


def test_a_key_of_another_length_than_its_kind_has_is_no_key():
    """Ed448 with the 32 bytes of Ed25519: the library takes this for a fault of its own."""
    der = bytes.fromhex("302e020100300506032b657104220420") + bytes(range(32))
    text = f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(der).decode()}\n-----END PRIVATE KEY-----\n"
    for lenient in (False, True):
        assert refusal(text, lenient=lenient).startswith("line 1: ")
