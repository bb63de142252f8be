"""The settings: a TOML file, and the environment where the file is silent."""

from edged.settings.annotate import annotated
from edged.settings.load import load, read
from edged.settings.settings import InvalidSettings, Settings

__all__ = ["InvalidSettings", "Settings", "annotated", "load", "read"]
