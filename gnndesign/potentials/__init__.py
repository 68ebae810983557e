"""Architectures, pretrained weights, and adapters to other packages."""
