"""All that a plugin may import from edged. `edged.hooks.values` has the ways in which values are written."""

from edged.hooks.specs import *  # noqa: F403
from edged.hooks.specs import __all__ as __all__
