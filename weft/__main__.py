"""Runs the weft command for `python -m weft`."""

import sys

if __name__ == "__main__":
    try:
        from weft.cli.main import main

        status = main()
    except KeyboardInterrupt:  # during the import, too
        status = 130
    sys.exit(status)
