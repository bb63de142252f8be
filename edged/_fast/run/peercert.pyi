class Subjects:
    """Which subjects a listener takes: a POSIX extended regular expression, found anywhere in /CN=.../O=... Raises ValueError."""

    def __init__(self, expression: str) -> None: ...
