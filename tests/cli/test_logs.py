import logging

import pytest

from edged.logs import lines_to_stderr


@pytest.fixture
def lines(capsys, monkeypatch):
    """Logs as a process would; answers what came out."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    loggers = [logging.getLogger(name) for name in ("edged", "edged_plugins")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield lambda: capsys.readouterr().err
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    logging.raiseExceptions = True


def test_lines_are_plain_and_say_who(lines):
    lines_to_stderr("edged worker 1")
    logging.getLogger("edged.worker").info("ready")
    logging.getLogger("edged_plugins.files").warning("odd")
    logging.getLogger("edged.control").debug("nobody needs that")
    assert lines() == "edged worker 1: ready\nedged worker 1: warning: odd\n"


def test_what_others_wrote_stays_on_its_line(lines):
    lines_to_stderr("edged")
    logging.getLogger("edged.control").error("route %s", "a\nedged: all is well\x1b[2J\u2028x")
    assert lines() == "edged: error: route a edged: all is well [2J x\n"


def test_the_journal_is_told_how_grave_it_is(lines, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    lines_to_stderr("edged")
    logging.getLogger("edged.x").error("bad")
    logging.getLogger("edged.x").info("good")
    assert lines() == "<3>edged: error: bad\n<6>edged: good\n"
