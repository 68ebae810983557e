"""Plotly figures of every result."""
