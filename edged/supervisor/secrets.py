"""What session tickets are sealed with: made here, and told to every worker that starts."""

from edged.settings import Settings
from edged.tls.tickets import Ratchet, now_ms

__all__ = ["fitting_tickets"]


def fitting_tickets(settings: Settings, before: Ratchet | None) -> Ratchet | None:
    """What all workers share for as long as this process lives, unless the settings change how often it turns; None: no listener gives
    tickets."""
    if not settings.tls.session_tickets or not any(listener.tls for listener in settings.listeners):
        return None
    if before is not None and before.rotation_ms == settings.tls.ticket_rotation_ms:
        return before
    return Ratchet.new(settings.tls.ticket_rotation_ms, now_ms())
