"""The project's root comes last on the path: an installed or checked build of edged is found first."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
