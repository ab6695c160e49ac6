"""Run the benches: `python -m bench [--only NAME]... [--json]`; exit status 1 if one misses."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator

from rich.console import Console

from bench import figures

# In the order in which they run; each is a module of this package with `run()`.
BENCHES = (
    *("ovsdb", "alloc", "burst", "ports", "rows", "cni"),
    *("policies", "lab", "nodes", "stream", "memory"),
)


def measure(names: list[str], console: Console) -> Iterator[figures.Figure]:
    for name in names:
        with console.status(f"measuring {name}"):
            yield from importlib.import_module(f"bench.{name}").run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHES, help="only this bench")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    names = [name for name in BENCHES if not options.only or name in options.only]
    return 0 if figures.show(measure(names, console), as_json=options.json, console=console) else 1


if __name__ == "__main__":
    sys.exit(main())
