"""What the engine is told at its start, made from the settings."""

import logging
import resource
from dataclasses import asdict
from typing import Any

from edged.settings import Settings

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
        "log_format": settings.log.format if access_log_wanted(settings) else "off",
        "log_ring_bytes": 1 << (settings.log.ring_bytes - 1).bit_length(),
        "dont_log_null": settings.log.dont_log_null,
        "error_files": dict(settings.error_files),
    }


def access_log_wanted(settings: Settings) -> bool:
    """Access lines are of level info."""
    return settings.log.target != "off" and settings.log.level not in _QUIETER_THAN_INFO


def connections_most(settings: Settings, descriptors: int) -> int:
    """This worker's share of the client connections; each may need a second descriptor, towards its endpoint."""
    possible = max((descriptors - _DESCRIPTORS_APART) // 2, 16)
    share = -(-settings.worker.max_connections // settings.worker.count)
    return min(share, possible) if share else possible
