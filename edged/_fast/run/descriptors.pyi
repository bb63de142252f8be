"""The engine's own table of descriptors: nothing of it is reached from Python."""
