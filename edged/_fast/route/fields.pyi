"""Fields changed where they stand: nothing of it is reached from Python."""
