"""Lists the pages of the console, in the order of the navigation."""

from __future__ import annotations

import functools
import importlib

from weft.console.page import Page

# One line for each page: the module in this package, which has a constant PAGE.
MODULES = (
    "overview",
    "topology",
    "underlay",
    "networks",
    "network",
    "policies",
    "policy",
    "matrix",
    "explain",
    "flows",
    "machines",
    "machine",
    "serial",
    "screen",
    "nodes",
    "events",
)


@functools.cache
def listed() -> tuple[Page, ...]:
    """All pages."""
    found = []
    for name in MODULES:
        page = importlib.import_module(f"{__name__}.{name}").PAGE
        assert isinstance(page, Page)
        assert page.name == name
        found.append(page)
    return tuple(found)
