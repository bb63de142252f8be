"""Blocks and stocks: nothing of it is reached from Python."""
