"""Potentials learned from quantum data."""
