"""KubeVirt's part in the lab: virtual machines as processes in pods, on QEMU."""
