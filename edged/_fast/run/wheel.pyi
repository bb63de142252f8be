"""Deadlines: nothing of it is reached from Python."""
