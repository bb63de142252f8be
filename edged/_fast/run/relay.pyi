"""Bytes through a pipe: nothing of it is reached from Python."""
