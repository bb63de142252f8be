"""`edged run` with the children of child.py."""

import sys
from pathlib import Path

from edged.cli import main
from edged.supervisor import children

CHILD = str(Path(__file__).with_name("child.py"))

children.command = lambda wing, index, wire_fd: [sys.executable, CHILD, wing, str(index), str(wire_fd)]

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
