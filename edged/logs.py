"""Lines for the operator on stderr: one each, plain, with the name of the process. The access log is another matter."""

import logging
import os
import re
import sys

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_JOURNAL = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class _Line(logging.Formatter):
    """What others wrote may hold anything: it stays on its line. A traceback follows on lines of its own."""

    def __init__(self, who: str) -> None:
        super().__init__()
        self._who = who
        self._journal = "JOURNAL_STREAM" in os.environ

    def format(self, record: logging.LogRecord) -> str:
        word = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        priority = f"<{_JOURNAL.get(record.levelno, 6)}>" if self._journal else ""
        line = f"{priority}{self._who}: {word}{_CONTROL.sub(' ', record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def lines_to_stderr(who: str) -> None:
    """Let every logger below "edged" write to stderr as `who`."""
    logging.raiseExceptions = False              # a closed stderr must not make things worse
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(who))
    for name in ("edged", "edged_plugins"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def choose_level(level: str) -> None:
    """From which level on lines are written: "debug", "info", "warning", "error"."""
    for name in ("edged", "edged_plugins"):
        logging.getLogger(name).setLevel(level.upper())
