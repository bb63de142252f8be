"""The endpoint's answer, read and handed on: nothing of it is reached from Python."""
