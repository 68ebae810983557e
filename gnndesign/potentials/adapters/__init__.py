"""Potentials whose weights or code live in other packages."""
