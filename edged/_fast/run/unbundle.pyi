"""A tunnel that comes from another engine is made of its bundle: nothing of it is reached from Python."""
