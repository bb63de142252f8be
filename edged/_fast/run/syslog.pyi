FACILITIES: tuple[str, ...]
SEVERITIES: tuple[str, ...]
