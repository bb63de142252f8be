"""What is told of clients' certificates (openshift-routes.md 7.8), whatever stands in them, and which subjects are taken."""

import base64
import ctypes
import hashlib
import socket
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.bindings import _rust
from OpenSSL import SSL, crypto

from edged._fast.run.peercert import Subjects
from edged.tls import openssl
from tests._fast.run.crafted import BMP, CN, IA5, ORGANIZATION, T61, UTF8, Maker, pem
from tests.doors import peercert_doors as doors

NAMES = [
    "x-ssl", "x-ssl-client-verify", "x-ssl-client-serial", "x-ssl-client-version", "x-ssl-client-sha1", "x-ssl-client-dn",
    "x-ssl-client-cn", "x-ssl-issuer", "x-ssl-client-notbefore", "x-ssl-client-notafter", "x-ssl-client-der",
]
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL X509 objects")       # those of cryptography must be well made
BARE = {"x-ssl", "x-ssl-client-verify"}
FETCHES = [
    "%[ssl_fc]", "%[ssl_c_verify]", "%{+Q}[ssl_c_serial,hex]", "%{+Q}[ssl_c_version]", "%{+Q}[ssl_c_sha1,hex]", "%{+Q}[ssl_c_s_dn]",
    "%{+Q}[ssl_c_s_dn(cn)]", "%{+Q}[ssl_c_i_dn]", "%{+Q}[ssl_c_notbefore]", "%{+Q}[ssl_c_notafter]", "%{+Q}[ssl_c_der,base64]",
]


@pytest.fixture(scope="module")
def maker():
    openssl.load()
    return Maker()


def loaded(der):
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


def client_context(maker, der):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if der:
        context.use_certificate(loaded(der))
        context.use_privatekey(maker.key)
    return context


def server_context(maker):
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(loaded(maker.certificate([(CN, UTF8, b"localhost")])))
    context.use_privatekey(maker.key)
    context.set_verify(SSL.VERIFY_PEER)
    context.set_session_id(b"test")
    context.get_cert_store().add_cert(loaded(maker.authority))
    return context


def carry(source, to):
    while True:
        try:
            to.bio_write(source.bio_read(1 << 16))
        except SSL.WantReadError:
            return


def speak(server_rules, client_rules, session=None):
    """Both ends after their handshake."""
    server, client = SSL.Connection(server_rules, None), SSL.Connection(client_rules, None)
    server.set_accept_state()
    client.set_connect_state()
    if session is not None:
        client.set_session(session)
    waiting = [client, server]
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            if one in waiting:
                try:
                    one.do_handshake()
                    waiting.remove(one)
                except SSL.WantReadError:
                    pass
            carry(one, other)
    assert not waiting
    return server, client


def read(connection, subjects=None):
    address = int(_rust._openssl.ffi.cast("uintptr_t", connection._ssl))
    return doors.read(address, None if subjects is None else Subjects(subjects))


def shown(maker, subject, subjects=None, **more):
    """What is told of a client with that certificate: fields as they are sent, DER, whether it is refused."""
    lines, der, refused = read(speak(server_context(maker), client_context(maker, maker.certificate(subject, **more)))[0], subjects)
    return fields_of(lines), der, refused


def fields_of(lines):
    """Whatever the certificate says, there are these lines and no others, and nothing ends the quotes before their end."""
    found = [line.split(b": ", 1) for line in lines.removesuffix(b"\r\n").split(b"\r\n")]
    assert [name.decode() for name, _ in found] == NAMES
    assert not any((byte < 0x20 and byte != 9) or byte == 0x7F for _, value in found for byte in value)
    return {name.decode(): value if name.decode() in BARE else unquoted(value) for name, value in found}


def unquoted(value):
    if value == b"":
        return value
    assert len(value) > 2
    assert value[:1] == value[-1:] == b'"'
    inner, rest = b"", value[1:-1]
    while rest:
        assert rest[:1] != b'"', "the quotes end too early"
        if rest[:1] == b"\\":
            assert rest[1:2] in (b'"', b"\\"), "the last quote is escaped"
            rest = rest[1:]
        inner, rest = inner + rest[:1], rest[1:]
    return inner


# ---- what is told ----------------------------------------------------------------------------------------------------


def test_a_certificate_is_told(maker):
    der = maker.certificate([(CN, UTF8, b"ann"), (ORGANIZATION, UTF8, b"Example, Inc.")], serial=0xABCDEF1234)
    server, _ = speak(server_context(maker), client_context(maker, der))
    lines, found, refused = read(server)
    assert lines.decode() == (
        'x-ssl: 1\r\nx-ssl-client-verify: 0\r\nx-ssl-client-serial: "ABCDEF1234"\r\nx-ssl-client-version: "3"\r\n'
        f'x-ssl-client-sha1: "{hashlib.sha1(der).hexdigest().upper()}"\r\nx-ssl-client-dn: "/CN=ann/O=Example, Inc."\r\n'
        'x-ssl-client-cn: "ann"\r\nx-ssl-issuer: "/CN=the CA"\r\nx-ssl-client-notbefore: "240101000000Z"\r\n'
        f'x-ssl-client-notafter: "490101000000Z"\r\nx-ssl-client-der: "{base64.b64encode(der).decode()}"\r\n'
    )
    assert (found, refused) == (der, False)


def test_a_client_without_certificate_is_told(maker):
    server, _ = speak(server_context(maker), client_context(maker, b""))
    lines, der, refused = read(server)
    assert fields_of(lines) == {"x-ssl": b"1", "x-ssl-client-verify": b"0", **dict.fromkeys(NAMES[2:], b"")}
    assert (der, refused) == (b"", False)


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_a_resumed_session_tells_the_same(maker, version):
    rules, ours = server_context(maker), client_context(maker, maker.certificate([(CN, UTF8, b"ann")]))
    ours.set_max_proto_version(version)
    first, client = speak(rules, ours)
    with pytest.raises(SSL.WantReadError):
        client.recv(1)                           # takes the tickets in
    second, client = speak(rules, ours, client.get_session())
    assert _rust._openssl.lib.SSL_session_reused(client._ssl)
    assert read(second) == read(first)


@pytest.mark.parametrize(("subject", "dn", "cn"), [
    ([(CN, IA5, b'a"b'), (CN, UTF8, b"second")], b'/CN=a"b/CN=second', b'a"b'),
    ([(CN, UTF8, b"a\\"), (ORGANIZATION, UTF8, b'\\"')], b'/CN=a\\/O=\\"', b"a\\"),
    ([(CN, UTF8, b"a\r\nx-ssl-client-cn: admin")], b"/CN=a%0D%0Ax-ssl-client-cn: admin", b"a%0D%0Ax-ssl-client-cn: admin"),
    ([(CN, UTF8, b"admin\0.example")], b"/CN=admin%00.example", b"admin%00.example"),
    ([(CN, UTF8, "Jörg\u2028".encode())], "/CN=Jörg\u2028".encode(), "Jörg\u2028".encode()),
    ([(CN, T61, bytes(range(128, 256)))], b"/CN=" + bytes(range(128, 256)), bytes(range(128, 256))),
    ([(CN, BMP, b"\0a\x01\x0d")], b"/CN=%00a%01%0D", b"%00a%01%0D"),
    ([("1.2.3.4.5", UTF8, b"odd"), (ORGANIZATION, UTF8, b"o")], b"/1.2.3.4.5=odd/O=o", b""),
    ([(CN, UTF8, b""), (CN, UTF8, b"x")], b"/CN=/CN=x", b""), ([(CN, UTF8, b"a\tb")], b"/CN=a\tb", b"a\tb"), ([], b"", b""),
    ([(CN, UTF8, b"x" * 64)] * 115, b"/CN=" + b"/CN=".join([b"x" * 64] * 115), b"x" * 64),
    # Longer ones are not told at all: nobody must take the begin of a name for the name.
    ([(CN, UTF8, b"x" * 64)] * 130, b"", b""), ([(CN, UTF8, b"\n" * 8188)], b"/CN=" + b"%0A" * 8188, b"%0A" * 8188),
    ([(CN, UTF8, b"x" * 8189)], b"", b""), ([(CN, UTF8, b'"' * 8188)], b"/CN=" + b'"' * 8188, b'"' * 8188),
    ([("2.5." + ".".join(["999999999"] * 60), UTF8, b"x")], None, b""),
])
def test_subjects(maker, subject, dn, cn):
    fields, _, _ = shown(maker, subject)
    assert fields["x-ssl-client-cn"] == cn
    assert fields["x-ssl-client-dn"] == dn or (dn is None and fields["x-ssl-client-dn"].startswith(b"/2.5.999999999."))


@pytest.mark.parametrize(("serial", "told"), [
    (1, b"01"), (0xFF01, b"FF01"), (-5, b"05"), (0, b"00"), (1 << 1000, b"01" + b"00" * 125), (1 << 1100, b""),
])
def test_serials(maker, serial, told):
    assert shown(maker, [(CN, UTF8, b"a")], serial=serial)[0]["x-ssl-client-serial"] == told


@pytest.mark.parametrize(("before", "after", "told"), [
    (b"20240101000000Z", b"20600101000000Z", (b"240101000000Z", b"600101000000Z")), (b"700101000000Z", b"21500101000000Z", (b"", b"")),
    (b"600101000000Z", b"99991231235959Z", (b"", b"")), (b"000101000000Z", b"491231235959Z", (b"000101000000Z", b"491231235959Z")),
])
def test_times(maker, before, after, told):
    fields, _, _ = shown(maker, [(CN, UTF8, b"a")], before=before, after=after)
    assert (fields["x-ssl-client-notbefore"], fields["x-ssl-client-notafter"]) == told


def test_versions(maker):
    assert shown(maker, [(CN, UTF8, b"a")], version=1)[0]["x-ssl-client-version"] == b"1"


# ---- which subjects are taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("subject", "expression", "taken"), [
    ([(CN, UTF8, b"ann"), (ORGANIZATION, UTF8, b"X")], "ann", True), ([(CN, UTF8, b"ann")], "^/CN=(bob|ann)$", True),
    ([(CN, UTF8, b"ann")], "^/CN=an$", False), ([(CN, UTF8, b"Ann")], "ann", False), ([(CN, UTF8, b"ann")], "/O=", False),
    # The whole subject is searched, whatever bytes are in it.
    ([(CN, UTF8, b"ann\0.example")], "^/CN=ann$", False), ([(CN, UTF8, b"ann\0.example")], "example$", True),
    ([(CN, UTF8, b"ann\nx")], "^/CN=ann$", False), ([(CN, UTF8, b"x\n/CN=ann")], "^/CN=ann", False), ([(CN, UTF8, b"a\nb")], "a.b", True),
    ([(CN, T61, b"\xff\xfe")], "^/CN=..$", True), ([(CN, UTF8, "ü".encode())], "^/CN=ü$", True),
    ([(CN, UTF8, "ü".encode())], "^/CN=[^/][^/]$", True),
    ([(CN, UTF8, b"ann")], "", True), ([], "", False), ([], ".*", False), ([(CN, UTF8, b"x" * 9000)], ".*", False),
    # Searching may cost the square of what is searched, and handshakes wait for one another.
    ([(CN, UTF8, b"x" * 1020)], "x$", True), ([(CN, UTF8, b"x" * 1021)], "x$", False),
])
def test_filters(maker, subject, expression, taken):
    assert shown(maker, subject, expression)[2] is not taken


def test_who_shows_none_is_taken_by_no_filter(maker):
    server, _ = speak(server_context(maker), client_context(maker, b""))
    assert read(server, ".*")[2] is True


@pytest.mark.parametrize("expression", ["a(", "[z-a]", "*", "a\0b", "(?i)a"])
def test_what_is_no_expression(expression):
    with pytest.raises(ValueError, match=r"no regular expression|zero byte"):
        Subjects(expression)


class MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]


def allocated():
    """Bytes that were asked of the C library and not given back."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = MallInfo
    return library.mallinfo2().uordblks


def test_all_memory_is_given_back(maker):
    server, _ = speak(server_context(maker), client_context(maker, maker.certificate([(CN, UTF8, b"x" * 8000)])))
    read(server, "x{3,5}y")
    before = allocated()
    for _ in range(200):                         # 6 MiB, were they kept
        read(server, "x{3,5}y")
    assert allocated() - before < 100_000


# ---- HAProxy -----------------------------------------------------------------------------------------------------------


class Heads(threading.Thread):
    """An endpoint that keeps the last head it was sent."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.head = b""
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += peer.recv(65536)
                self.head = head
                peer.sendall(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n")


@pytest.fixture(scope="module")
def haproxy(maker, tmp_path_factory):
    """HAProxy as the router configures it; ask(der) is what it tells of that client."""
    folder = tmp_path_factory.mktemp("haproxy")
    (folder / "ca.pem").write_bytes(pem(maker.authority))
    (folder / "shown.pem").write_bytes(pem(maker.certificate([(CN, UTF8, b"localhost")])) + maker.key_pem)
    endpoint = Heads()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lines = "".join(f"  http-request set-header {name} {fetch}\n" for name, fetch in zip(NAMES, FETCHES, strict=True))
    (folder / "haproxy.cfg").write_text(f"""
global
  tune.bufsize 65536
  tune.maxrewrite 40000
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend one
  bind 127.0.0.1:{port} ssl crt {folder}/shown.pem ca-file {folder}/ca.pem verify optional
{lines}  default_backend one
backend one
  server one 127.0.0.1:{endpoint.listener.getsockname()[1]}
""")
    program = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")])

    def ask(der):
        deadline = time.monotonic() + 20
        while True:
            try:
                plain = socket.create_connection(("127.0.0.1", port), 10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                assert program.poll() is None
        plain.settimeout(None)                   # pyOpenSSL reads without waiting otherwise
        client = SSL.Connection(client_context(maker, der), plain)
        client.set_connect_state()
        client.sendall(b"GET / HTTP/1.0\r\nhost: h\r\n\r\n")
        client.recv(65536)
        client.close()
        found = [line.split(b": ", 1) for line in endpoint.head.split(b"\r\n") if line.startswith(b"x-ssl")]
        return {name.decode(): value for name, value in found}

    yield ask
    program.terminate()
    program.wait()
    endpoint.listener.close()


@pytest.mark.parametrize(("subject", "more"), [
    ([(CN, UTF8, b"ann"), (ORGANIZATION, UTF8, b"Example, Inc."), ("1.2.3.4.5", UTF8, b"odd"), (CN, UTF8, b"second")], {"serial": 0xABCD}),
    ([(CN, IA5, bytes(range(1, 128)))], {"serial": 0xFF01}), ([(CN, T61, bytes(range(128, 256)))], {"serial": -5}),
    ([(CN, UTF8, b"admin\0.example"), (ORGANIZATION, BMP, b"\0a\0b")], {"version": 1}), ([], {}), ([(ORGANIZATION, UTF8, b"o")], {}),
    ([(CN, UTF8, b""), (CN, UTF8, b"x")], {"before": b"20240101000000Z", "after": b"20600101000000Z"}),
    ([(CN, UTF8, b"a")], {"before": b"700101000000Z", "after": b"21500101000000Z"}),
])
def test_haproxy_tells_the_same(maker, haproxy, subject, more):
    der = maker.certificate(subject, **more)
    server, _ = speak(server_context(maker), client_context(maker, der))
    assert fields_of(read(server)[0]) == haproxy(der)


def test_haproxy_tells_the_same_of_a_client_without(maker, haproxy):
    server, _ = speak(server_context(maker), client_context(maker, b""))
    assert fields_of(read(server)[0]) == haproxy(b"")
