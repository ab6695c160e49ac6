"""A Kubernetes API server small enough to live inside a lab: one process, one SQLite file."""
