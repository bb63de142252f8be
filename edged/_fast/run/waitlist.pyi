"""Queues of exchanges: nothing of it is reached from Python."""
