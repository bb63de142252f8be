import msgpack
import pytest

from edged.ctl.frames import FrameError, cut, pack
from edged.ctl.verbs import VERBS, complaint
from edged.supervisor.ctl import ANSWERS

MESSAGE = {"version": 1, "verb": "status", "arguments": {}}


@pytest.mark.parametrize("n", range(len(pack(MESSAGE))))
def test_a_frame_cut_anywhere_asks_for_more(n):
    buffer = bytearray(pack(MESSAGE)[:n])
    assert cut(buffer, 1000) is None
    buffer += pack(MESSAGE)[n:] + b"rest"
    assert cut(buffer, 1000) == MESSAGE
    assert buffer == b"rest"


def test_a_frame_too_long_is_refused_before_it_is_there():
    with pytest.raises(FrameError, match="a frame of 1001 bytes was announced, 1000 are the most"):
        cut(bytearray((1001).to_bytes(4, "big")), 1000)


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x93\x01", msgpack.packb([1]), msgpack.packb({1: 2}), b"\x91" * 5000 + b"\x01", b"\x80\x80"]
)
def test_nonsense_is_no_frame(body):
    with pytest.raises(FrameError):
        cut(bytearray(len(body).to_bytes(4, "big") + body), 10_000)


def test_every_verb_has_an_answer():
    assert list(ANSWERS) == list(VERBS)


@pytest.mark.parametrize(
    ("verb", "arguments", "why"),
    [
        ("status", {}, ""),
        ("status", [], "arguments are a map"),
        ("status", {"now": True}, 'status has no argument "now"'),
        ("stop", {"now": True}, ""),
        ("stop", {"now": 1}, "stop: now: cut what runs"),
        ("drain", {"delay_ms": 0}, ""),
        ("drain", {"delay_ms": -1}, "drain: delay_ms: how long"),
        ("drain", {"delay_ms": True}, "drain: delay_ms: how long"),
        ("drain", {"delay_ms": 1 << 40}, "drain: delay_ms: how long"),
        ("log_level", {}, "log level: level is missing"),
        ("log_level", {"level": "loud"}, "log level: level: one of debug, info, warning, error"),
        ("log_level", {"level": "debug"}, ""),
    ],
)
def test_arguments_are_checked(verb, arguments, why):
    told = complaint(VERBS[verb], arguments)
    assert told.startswith(why) if why else told == ""
