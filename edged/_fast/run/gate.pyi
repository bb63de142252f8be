"""Listening sockets: nothing of it is reached from Python."""
