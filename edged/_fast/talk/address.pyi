"""Addresses as text: nothing of it is reached from Python."""
