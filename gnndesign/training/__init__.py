"""Learning potentials from labelled structures."""
