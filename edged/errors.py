"""Errors that more than one room knows."""


class EdgedError(Exception):
    """Base of all errors that edged raises on purpose. The text is one line for the operator."""


class StartError(EdgedError):
    """edged cannot start. The command line prints the text and leaves with status 2."""
