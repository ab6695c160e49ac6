"""Every module of tests/support is a plugin: its fixtures are there for all tests."""

from pathlib import Path

pytest_plugins = [
    f"tests.support.{path.stem}"
    for path in sorted((Path(__file__).parent / "support").glob("*.py"))
    if path.stem != "__init__"
]
