"""Handshakes in memory: a context under test on one side, Python's own ssl (another library) or pyOpenSSL on the other."""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from edged.model.certificate import Certificate
from edged.model.listener import Listener, Mode
from edged.settings.tables import TlsTable

LISTENER = Listener(0, "web", "127.0.0.1:0", Mode.HTTPS, tls=True)
READ_BYTES = 65536


def table(**words):
    return TlsTable(**words)


def certificate(certified, ocsp=b""):
    """As the model has it."""
    chain = (certified.certificate, *certified.between)
    key = certified.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Certificate.of(tuple(one.public_bytes(Encoding.DER) for one in chain), key, ocsp)


def python_client(authority=None, *, certified=None, version=None, ciphers=None):
    """A client's context; whom it trusts, and who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    if authority is not None:
        context.load_verify_locations(cadata=authority.pem)
        context.verify_mode = ssl.CERT_REQUIRED
    if certified is not None:
        with TemporaryDirectory() as folder:
            context.load_cert_chain(*certified.write(Path(folder)))
    return context


def python_server(certified, *, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version:
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with TemporaryDirectory() as folder:
        context.load_cert_chain(*certified.write(Path(folder)))
    return context


class PythonSide:
    def __init__(self, context, *, server=False, session=None, name=None):
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._in, self._out, server, name, session)

    def step(self):
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def read(self):
        try:
            return self.object.read(READ_BYTES)
        except ssl.SSLWantReadError:
            return b""

    def write(self, data):
        self.object.write(data)

    def take(self):
        return self._out.read()

    def give(self, data):
        self._in.write(data)


class OpenSSLSide:
    """A context under test, or one more of the same library."""

    def __init__(self, context, *, certified=None, session=None):
        self.connection = SSL.Connection(context, None)
        if certified is None:
            self.connection.set_connect_state()
        else:
            self.connection.set_accept_state()
            self.connection.use_certificate(certified.certificate)
            self.connection.use_privatekey(certified.key)
        if session is not None:
            self.connection.set_session(session)

    def step(self):
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def read(self):
        try:
            return self.connection.recv(READ_BYTES)
        except SSL.WantReadError:
            return b""

    def write(self, data):
        self.connection.send(data)

    def take(self):
        try:
            return self.connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def give(self, data):
        if data:
            self.connection.bio_write(data)


class Refused(Exception):
    """The handshake failed; `side` names who refused."""

    def __init__(self, side, why):
        super().__init__(f"{side}: {why}")
        self.side = side


def shake(server, client):
    """Shake hands and say a word in both directions; answers the bytes that the server sent. Raises Refused."""
    sent = b""
    done = {"client": False, "server": False}
    sides = {"client": client, "server": server}
    for _ in range(10):
        for name, other in (("client", server), ("server", client)):
            try:
                done[name] = done[name] or sides[name].step()
            except (ssl.SSLError, SSL.Error) as why:
                raise Refused(name, why) from None
            flight = sides[name].take()
            sent += flight if name == "server" else b""
            other.give(flight)
        if all(done.values()):
            return sent + exchange(server, client)
    raise AssertionError("the handshake comes to no end")


def exchange(server, client):
    """With TLS 1.3 the client reads its tickets, and a refusal of its certificate, only now."""
    try:
        client.write(b"ask")
        server.give(client.take())
        assert server.read() == b"ask"
        server.write(b"answer")
        flight = server.take()
        client.give(flight)
        assert client.read() == b"answer"
    except (ssl.SSLError, SSL.Error) as why:
        raise Refused("either", why) from None
    return flight
