"""Records of the table file: nothing of it is reached from Python."""
