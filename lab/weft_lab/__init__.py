"""A Kubernetes cluster with OVN and virtual machines on one machine, for weft."""
