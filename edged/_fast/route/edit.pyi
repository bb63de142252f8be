"""Heads rewritten by their recipe: nothing of it is reached from Python."""
