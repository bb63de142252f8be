"""The form of what engines tell each other about tunnels."""

from edged._fast.run.bundle cimport BUNDLE_LAYOUT, BUNDLE_MOST, Bundle
from edged._fast.run.handoff cimport (
    HANDOFF_AGREED, HANDOFF_HELLO, HANDOFF_REFUSED, HANDOFF_TAKEN, HANDOFF_TUNNEL, HANDOFF_UNKNOWN,
)

LAYOUT = BUNDLE_LAYOUT
MOST = BUNDLE_MOST
FIXED_BYTES = sizeof(Bundle)
HELLO, AGREED, UNKNOWN, TUNNEL, TAKEN, REFUSED = (
    HANDOFF_HELLO, HANDOFF_AGREED, HANDOFF_UNKNOWN, HANDOFF_TUNNEL, HANDOFF_TAKEN, HANDOFF_REFUSED,
)


def parts_at():
    """Where the lengths of the parts stand."""
    cdef Bundle b
    return <char*>&b.parts - <char*>&b
