"""Tells a source that reads files when they may have changed."""

from edged.watch import Change, Watch, ways

__all__ = ["Change", "Watch", "ways"]
