"""Certificates and keys: read, judged, found, and put in the way of the engine."""
