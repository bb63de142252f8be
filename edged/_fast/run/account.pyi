"""The books: nothing of it is reached from Python."""
