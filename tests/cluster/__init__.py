"""A stock Kubernetes on this machine, and what weft claims to do on one; see README.md here."""
