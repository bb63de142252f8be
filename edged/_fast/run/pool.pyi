"""Idle channels to endpoints: nothing of it is reached from Python."""
