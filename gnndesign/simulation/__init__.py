"""Relaxation and molecular dynamics of many structures in one batch."""
