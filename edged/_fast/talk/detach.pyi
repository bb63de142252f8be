"""Long exchanges must not keep old tables alive: nothing of it is reached from Python."""
