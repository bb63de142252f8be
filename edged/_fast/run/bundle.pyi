"""An established tunnel as bytes and descriptors: nothing of it is reached from Python."""
