"""Routes from YAML files, read again whenever they change."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from edged.hooks import SettingsError, Source, hookimpl

_KEYS = ("paths", "filter_addresses")


@hookimpl
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:
    """One source for all of `[sources.files] paths`."""
    table = settings.get("files")
    if table is None:
        return ()
    for key in table:
        if key not in _KEYS:
            close = get_close_matches(key, _KEYS, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(_KEYS)}"
            raise SettingsError(f"files.{key}", f"unknown key; {hint}")
    paths = table.get("paths", [])
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path and "\0" not in path for path in paths):
        raise SettingsError("files.paths", 'write a list of files and folders, such as ["routes.d"]')
    filter_addresses = table.get("filter_addresses", False)
    if not isinstance(filter_addresses, bool):
        raise SettingsError("files.filter_addresses", "write true or false")
    from .shortform import Defaults
    from .source import FilesSource

    given = settings.get("defaults", {})
    defaults = Defaults(**{name: given[name] for name in Defaults.__slots__ if name in given})
    where = settings.get("__dir__", os.getcwd())
    return (FilesSource([os.path.abspath(os.path.join(where, path)) for path in paths], defaults, filter_addresses=filter_addresses),)
