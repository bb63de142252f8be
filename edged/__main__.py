"""`python -m edged` is `edged`."""

import sys

from edged.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
