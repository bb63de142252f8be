"""`edged run` with the children of child.py. A file program.py in $FAKES is what another version of the program would do first; a
file program.sh there is what an upgrade takes for the program, as it would the script that the daemon was started by."""

import os
import sys
from pathlib import Path

CHILD = str(Path(__file__).with_name("child.py"))
OTHER = Path(os.environ["FAKES"], "program.py")
SCRIPT = Path(os.environ["FAKES"], "program.sh")


def run():
    from edged.cli import main
    from edged.supervisor import children

    children.command = lambda wing, index, wire_fd: [sys.executable, CHILD, wing, str(index), str(wire_fd)]
    return main(sys.argv[1:] if sys.argv[1] == "wing" else ["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.argv[0] = str(SCRIPT)                    # nothing, as long as it is not there
    if OTHER.exists():
        exec(compile(OTHER.read_text(), OTHER, "exec"))
    sys.exit(run())
