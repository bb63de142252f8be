"""The memory file in the making: only the rooms beside reach it."""

class Image:
    def __init__(self, first: int, room: int) -> None: ...
