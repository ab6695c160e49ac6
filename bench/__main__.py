"""Runs the benches: `python -m bench [--only NAME]... [--json]`; exit status 1 if one misses."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from rich.console import Console

from bench import figures

# In the order in which they run; each is a module of this package with `run()`.
BENCHES = (
    *("ovsdb", "alloc", "burst", "ports", "derived", "rows", "cni"),
    *("arrivals", "policies", "lab", "nodes", "stream", "memory", "watches", "flows"),
)
ASKED_FOR = ("console", "migration", "stock", "scale")  # take minutes; the last two need Go


def measure(name: str, *, as_json: bool, console: Console) -> bool:
    """Run one bench and show its figures; False if one misses or it breaks, which ends no other."""
    try:
        with console.status(f"measuring {name}"):
            found = importlib.import_module(f"bench.{name}").run()
            return figures.show(found, as_json=as_json, console=console)
    except Exception as error:
        if os.environ.get("WEFT_DEBUG"):
            raise
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        console.print(f"bench {name} broke off: {reason}", markup=False)
        console.print("its whole story: WEFT_DEBUG=1 python -m bench --only", name, markup=False)
        return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    known = (*BENCHES, *ASKED_FOR)
    parser.add_argument("--only", action="append", choices=known, help="only this bench")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    names = [name for name in known if name in (options.only or BENCHES)]
    sound = [measure(name, as_json=options.json, console=console) for name in names]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
