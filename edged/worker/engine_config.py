"""What the engine is told at its start, made from the settings."""

import logging
import os
import resource
from dataclasses import asdict
from socket import gethostname
from typing import Any

from edged.settings import Settings
from edged.settings.logformat import HIDDEN_MOST, Capture, Piece, captured, pieces

__all__ = ["access_log_wanted", "connections_most", "engine_config"]

log = logging.getLogger("edged.worker")

_DESCRIPTORS_APART = 256                         # for all that is no client and no endpoint
_QUIETER_THAN_INFO = ("emerg", "alert", "crit", "err", "warning", "notice")


def engine_config(settings: Settings) -> dict[str, Any]:
    worker, defaults = settings.worker, settings.defaults
    return {
        "max_connections": connections_most(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "buffer_bytes": worker.buffer_bytes,
        "max_header_bytes": worker.max_header_bytes,
        "max_target_bytes": worker.max_target_bytes,
        "max_headers": worker.max_headers,
        "max_body_bytes": defaults.max_body_bytes,
        "splice": worker.splice,
        "pool_idle": worker.pool_idle,
        "http_reuse": defaults.http_reuse,
        "abort_on_close": defaults.abort_on_close,
        "ignore_probes": defaults.ignore_probes,
        "timeouts": asdict(settings.timeouts),
        **_formats(settings),
        "h1_case_adjust": defaults.h1_case_adjust,
        "log_ring_bytes": 1 << (settings.log.ring_bytes - 1).bit_length(),
        "dont_log_null": settings.log.dont_log_null,
        "error_files": dict(settings.error_files),
    }


def _formats(settings: Settings) -> dict[str, Any]:
    """How lines and ids are written, and what must be noted of heads for them."""
    log, defaults, wanted = settings.log, settings.defaults, access_log_wanted(settings)
    own = pieces(log.format) if wanted and log.format not in ("http", "json") else ()
    ids = pieces(defaults.unique_id_format)
    shown = [("request", one) for one in map(captured, log.capture_request_headers if wanted else ())]
    shown += [("response", one) for one in map(captured, log.capture_response_headers if wanted else ())]
    cookie = captured(log.capture_cookie) if wanted and log.capture_cookie else None
    if cookie is not None:
        shown += [("cookie", cookie), ("set-cookie", cookie)]
    hidden = list(dict.fromkeys((piece.side, Capture(piece.text, HIDDEN_MOST)) for piece in (*own, *ids) if piece.word == "header"))
    captures = [*shown, *hidden]
    numbers = {capture: len(shown) + number for number, capture in enumerate(hidden)}
    notes = None
    if captures or ids or any(piece.word == "rt" for piece in own):
        sides = [side for side, _ in shown]
        notes = {
            "captures": [(side, one.name, one.most) for side, one in captures], "n_request": sides.count("request"),
            "n_response": sides.count("response"), "cookies": cookie is not None, "id_pieces": _compiled(ids, numbers),
            "id_header": defaults.unique_id_header,
        }
    return {
        "log_format": "off" if not wanted else "http" if own else log.format, "log_pieces": _compiled(own, numbers), "notes": notes,
        "sni_wanted": any(piece.word == "ssl_fc_sni" for piece in (*own, *ids)),
        "local_wanted": any(piece.word == "fi" for piece in (*own, *ids)),
    }


def _compiled(given: tuple[Piece, ...], numbers: dict[tuple[str, Capture], int]) -> list[tuple[str, str, str | int]]:
    """Pieces as the engine takes them; what never changes becomes a literal."""
    made: list[tuple[str, str, str | int]] = []
    for piece in given:
        if piece.word == "pid":
            made.append(("literal", "", f"{os.getpid():04X}" if "X" in piece.flags else str(os.getpid())))
        elif piece.word == "H":
            made.append(("literal", "", f'"{gethostname()}"' if "Q" in piece.flags else gethostname()))
        elif piece.word == "header":
            made.append(("captured", piece.flags, numbers[piece.side, Capture(piece.text, HIDDEN_MOST)]))
        else:
            made.append((piece.word, piece.flags, piece.text))
    return made


def access_log_wanted(settings: Settings) -> bool:
    """Access lines are of level info."""
    return settings.log.target != "off" and settings.log.level not in _QUIETER_THAN_INFO


def connections_most(settings: Settings, descriptors: int) -> int:
    """This worker's share of the client connections; each may need a second descriptor, towards its endpoint."""
    possible = max((descriptors - _DESCRIPTORS_APART) // 2, 16)
    share = -(-settings.worker.max_connections // settings.worker.count)
    return min(share, possible) if share else possible
