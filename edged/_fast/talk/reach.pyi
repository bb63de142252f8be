"""The way to an endpoint: nothing of it is reached from Python."""
