"""How fast and how lean weft is, beside a peer or a limit measured in the same run."""
