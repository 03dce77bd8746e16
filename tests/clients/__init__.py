"""Real client programs drive the real server: docker, podman, oras, helm, cosign and more."""
