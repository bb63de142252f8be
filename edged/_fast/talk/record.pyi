"""Notes of an exchange: nothing of it is reached from Python."""
