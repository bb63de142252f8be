"""The settings: a TOML file, and the environment where the file is silent.

Reading them is a matter for the command line (`load`, `annotate`); all other processes are given what was read.
"""

from edged.settings.settings import InvalidSettings, Settings

__all__ = ["InvalidSettings", "Settings"]
