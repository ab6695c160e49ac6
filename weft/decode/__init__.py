"""Decodes text from users, pods and peers: JSON and YAML, with bounds on time and memory."""
