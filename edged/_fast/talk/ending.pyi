"""How an exchange ends: nothing of it is reached from Python."""
