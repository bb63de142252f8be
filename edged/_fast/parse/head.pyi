class HeadError(ValueError):
    status: int
    why: str
    def __init__(self, status: int, why: str) -> None: ...

FLAG_WORDS: dict[int, str]

def read_request(
    data: bytes, *, head_bytes: int = 16384, target_bytes: int = 8192, fields: int = 101
) -> dict[str, object] | None: ...
def read_response(data: bytes, *, head_bytes: int = 16384, fields: int = 101) -> dict[str, object] | None: ...
