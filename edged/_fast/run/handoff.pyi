"""Established tunnels go to an engine of the next generation: nothing of it is reached from Python."""
