"""weft: secondary overlay networks for virtual machines and pods on Kubernetes, on OVN."""

__version__ = "0.1.0"
