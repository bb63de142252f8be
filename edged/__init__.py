"""edged: an edge reverse proxy whose routes, endpoints and certificates change in place."""

__version__ = "0.1.0"
