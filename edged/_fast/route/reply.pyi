"""Answers of our own: nothing of it is reached from Python."""
