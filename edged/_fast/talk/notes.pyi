"""Captured fields: nothing of it is reached from Python."""
