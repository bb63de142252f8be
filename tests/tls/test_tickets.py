"""Keys that turn with time, and sessions that are resumed by them."""

import ssl
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from tests.doors.ticket_doors import give_tickets

from edged._fast.run.tickets import use_ticket_keys
from edged.tls import openssl
from edged.tls.contexts import server_context
from edged.tls.tickets import Ratchet, _expand, now_ms
from tests.tls.talk import LISTENER, OpenSSLSide, PythonSide, python_client, shake, table

HOUR = 3_600_000
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


# the ratchet

@pytest.mark.parametrize("count", [16, 32, 80])
def test_expansion_is_that_of_the_rfc(count):
    assert _expand(b"s" * 32, b"about", count) == HKDFExpand(hashes.SHA256(), count, b"about").derive(b"s" * 32)


def test_two_processes_that_were_told_at_different_times_agree():
    first = Ratchet.new(HOUR, 10 * HOUR + 5)
    told = first.message()
    assert told["period"] == 9
    second = Ratchet(HOUR, told["period"], told["secret"])
    first.turn(13 * HOUR)
    late = first.message()
    third = Ratchet(HOUR, late["period"], late["secret"])
    second.turn(13 * HOUR + 1)
    assert first.keys() == second.keys() == third.keys()
    assert first.present == 13


def test_the_present_key_seals_and_its_neighbours_open():
    ratchet = Ratchet.new(HOUR, 10 * HOUR)
    present, before, after = ratchet.keys()
    assert len({*present, *before, *after}) == 9
    assert [len(part) for part in present] == [16, 32, 32]
    assert ratchet.turn(11 * HOUR)
    held = ratchet.keys()
    assert held[:2] == [after, present]
    assert before not in held


def test_it_turns_at_the_hour_and_never_back():
    ratchet = Ratchet.new(HOUR, 10 * HOUR + 1)
    keys = ratchet.keys()
    assert not ratchet.turn(11 * HOUR - 1)
    assert ratchet.left_ms(11 * HOUR - 1) == 1
    assert ratchet.left_ms(11 * HOUR) == 0
    assert not ratchet.turn(3 * HOUR)
    assert ratchet.keys() == keys
    assert ratchet.left_ms(3 * HOUR) == 8 * HOUR
    assert ratchet.turn(11 * HOUR)
    assert ratchet.turn(11 * HOUR) is False


def test_a_secret_that_is_over_is_overwritten():
    ratchet = Ratchet(HOUR, 4, b"s" * 32)
    room = ratchet._secret
    ratchet.turn(9 * HOUR)
    assert ratchet._secret is room
    assert b"s" * 32 not in (bytes(room), ratchet.message()["secret"])


def test_in_the_first_period_of_a_machine():
    ratchet = Ratchet.new(HOUR, 5)
    told = ratchet.message()
    assert told["period"] == -1
    assert Ratchet(HOUR, told["period"], told["secret"]).keys() == ratchet.keys()


@pytest.mark.parametrize(("period", "secret"), [(3, b"short"), (3, b"s" * 33), (-2, b"s" * 32)])
def test_a_secret_that_is_none_is_refused(period, secret):
    with pytest.raises(ValueError, match="no secret of a period"):
        Ratchet(HOUR, period, secret)


def test_the_clock_goes_on():
    assert 0 < now_ms() <= now_ms()


# tickets

@pytest.fixture
def keys():
    """Three of a ratchet; nobody has any at the end."""
    openssl.load()
    ratchet = Ratchet.new(HOUR, 10 * HOUR)
    use_ticket_keys(ratchet.keys())
    yield ratchet
    use_ticket_keys([])


def listener_context(listener=LISTENER, **words):
    context = server_context(table(**words), listener)
    give_tickets(openssl.context_address(context))
    return context


class Visitor:
    """A client that comes again and again with the session that it was given last."""

    def __init__(self, certified, version):
        self._certified = certified
        self._context = python_client(version=version)
        self.session = None

    def visit(self, context):
        """Whether the session was resumed, and the bytes that came."""
        side = PythonSide(self._context, session=self.session)
        came = shake(OpenSSLSide(context, certified=self._certified), side)
        self.session = side.object.session
        return side.object.session_reused, came


@pytest.mark.parametrize("version", [V12, V13])
def test_sessions_are_resumed_by_other_contexts_of_the_same_rules(keys, site, version):
    visitor = Visitor(site, version)
    assert not visitor.visit(listener_context())[0]
    assert visitor.session.has_ticket
    assert visitor.visit(listener_context())[0]
    assert visitor.visit(listener_context())[0]


@pytest.mark.parametrize("version", [V12, V13])
def test_sessions_do_not_cross_over_to_other_rules(keys, authority, site, version, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text(authority.pem)
    lenient = listener_context()
    asking = listener_context(replace(LISTENER, client_auth="optional", client_ca=str(path)))
    path.write_text(authority.intermediate.pem)
    otherwise = listener_context(replace(LISTENER, client_auth="optional", client_ca=str(path)))
    visitor = Visitor(site, version)
    visitor.visit(lenient)
    assert visitor.session.has_ticket
    assert not visitor.visit(asking)[0]
    assert visitor.visit(asking)[0]
    assert not visitor.visit(otherwise)[0]


@pytest.mark.parametrize("version", [V12, V13])
def test_a_ticket_of_the_period_before_is_renewed_and_an_older_one_refused(keys, site, version):
    visitor, late = Visitor(site, version), Visitor(site, version)
    context = listener_context()
    visitor.visit(context)
    late.visit(context)
    keys.turn(11 * HOUR)
    use_ticket_keys(keys.keys())
    old = visitor.session
    assert visitor.visit(context)[0]
    assert visitor.session != old
    keys.turn(12 * HOUR)
    use_ticket_keys(keys.keys())
    assert visitor.visit(context)[0]             # by the new one
    assert not late.visit(context)[0]


def test_a_worker_that_is_a_little_ahead_is_understood(keys, site):
    present, before, after = keys.keys()
    visitor = Visitor(site, V13)
    use_ticket_keys([after, present])
    visitor.visit(listener_context())
    use_ticket_keys([present, before, after])
    assert visitor.visit(listener_context())[0]


def test_tls_1_2_keeps_its_ticket_while_the_key_is_the_present_one(keys, site):
    visitor = Visitor(site, V12)
    assert keys.keys()[0][0] in visitor.visit(listener_context())[1]         # the key's name stands in the clear
    resumed, came = visitor.visit(listener_context())
    assert resumed
    assert keys.keys()[0][0] not in came
    keys.turn(11 * HOUR)
    use_ticket_keys(keys.keys())
    resumed, came = visitor.visit(listener_context())
    assert resumed
    assert keys.keys()[0][0] in came


def test_tls_1_3_gives_a_new_ticket_each_time(keys, site):
    visitor = Visitor(site, V13)
    visitor.visit(listener_context())
    seen = {visitor.session.id}
    for _ in range(3):
        assert visitor.visit(listener_context())[0]
        seen.add(visitor.session.id)
    assert len(seen) == 4


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("first", ["no keys", "strange keys"])
def test_without_their_keys_every_handshake_is_a_full_one(keys, site, version, first):
    visitor = Visitor(site, version)
    use_ticket_keys([] if first == "no keys" else Ratchet.new(HOUR, 10 * HOUR).keys())
    visitor.visit(listener_context())
    assert (visitor.session is not None and visitor.session.has_ticket) == (first == "strange keys")
    use_ticket_keys(keys.keys())
    assert not visitor.visit(listener_context())[0]


@pytest.mark.parametrize("version", [V12, V13])
def test_by_option_nothing_is_resumed(keys, site, version):
    visitor = Visitor(site, version)
    for _ in range(3):
        assert not visitor.visit(listener_context(session_tickets=False))[0]


@pytest.mark.parametrize("version", [V12, V13])
def test_a_ticket_that_was_touched_is_refused(keys, site, version):
    """The same name, and other secrets."""
    visitor = Visitor(site, version)
    visitor.visit(listener_context())
    (name, aes, _), *rest = keys.keys()
    use_ticket_keys([(name, aes, b"h" * 32), *rest])
    assert not visitor.visit(listener_context())[0]


@pytest.mark.parametrize("sizes", [(15, 32, 32), (16, 31, 32), (16, 32, 33)])
def test_keys_of_another_size_are_refused(keys, sizes):
    with pytest.raises(ValueError, match="a ticket key is"):
        use_ticket_keys([tuple(b"k" * size for size in sizes)])


def test_too_many_keys_are_refused(keys):
    with pytest.raises(ValueError, match="9 keys are too many"):
        use_ticket_keys([(b"n" * 16, b"a" * 32, b"h" * 32)] * 9)
