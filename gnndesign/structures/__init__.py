"""Structures on the host: build, edit, load, save and convert `ase.Atoms`."""
