"""Measures the speed and memory of weft, beside a peer or a limit measured in the same run."""
