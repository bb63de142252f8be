"""All that a plugin may import from edged."""

from edged.hooks.specs import *  # noqa: F403
from edged.hooks.specs import __all__ as __all__
