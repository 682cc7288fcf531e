"""The stages of dvc.yaml, a script each, and what they share: artifacts, network, gathered."""
