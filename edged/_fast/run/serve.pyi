"""Carrying out what conversations want: nothing of it is reached from Python."""
