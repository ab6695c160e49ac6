"""Holds the schemas of the built-in types, written in a compact notation."""
