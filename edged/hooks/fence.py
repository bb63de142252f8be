"""The fence around plugin code: whatever a plugin raises stops at it and carries the plugin's name."""

from collections.abc import Iterator
from contextlib import contextmanager

from edged.errors import EdgedError
from edged.hooks.specs import SettingsError, SourceError

__all__ = ["PluginFailed", "fence", "told"]


class PluginFailed(EdgedError):
    """Plugin code raised what it should not have. `__cause__` is what it raised."""

    def __init__(self, plugin: str, why: BaseException) -> None:
        super().__init__(f"plugin {plugin} failed: {told(why)}")
        self.plugin = plugin


@contextmanager
def fence(plugin: str) -> Iterator[None]:
    """Around every call of plugin code, plain or awaited.

    SettingsError and SourceError pass, since plugins raise them on purpose (a SourceError also out of a nursery of the
    plugin's own); trio.Cancelled passes, since it is none of the plugin's. Everything else becomes PluginFailed.
    """
    try:
        yield
    except (SettingsError, SourceError):
        raise
    except ExceptionGroup as group:
        if group.split(SourceError)[1] is None:
            raise SourceError(told(group)) from group
        raise PluginFailed(plugin, group) from group
    except (Exception, SystemExit) as why:
        raise PluginFailed(plugin, why) from why


def told(why: BaseException) -> str:
    """An exception, or those in a group, as one line."""
    if isinstance(why, BaseExceptionGroup):
        return "; ".join(told(one) for one in why.exceptions)
    text = str(why).replace("\n", " ")
    return text if isinstance(why, SourceError) else f"{type(why).__name__}: {text}" if text else type(why).__name__
