"""Actions in the table file: nothing of it is reached from Python."""
