"""Learn potentials from quantum-mechanical data."""
