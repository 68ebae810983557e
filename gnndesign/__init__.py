"""gnndesign: design materials with graph neural network potentials."""
