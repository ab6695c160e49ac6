"""Tests of weft; those of the lab are in lab/tests."""
