"""`python -m weft` is the weft command."""

import sys

if __name__ == "__main__":
    try:
        from weft.cli.main import main

        status = main()
    except KeyboardInterrupt:  # as early as this, too, it is no mistake to be told of
        status = 130
    sys.exit(status)
