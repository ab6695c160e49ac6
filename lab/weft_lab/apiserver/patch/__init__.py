"""How one object becomes another: the four patch languages of the Kubernetes API, all pure."""
