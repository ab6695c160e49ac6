"""How long does a test hope for what is to come? No limit of speed: it only ends what hangs."""

PATIENCE = 60.0  # seconds
