"""What a run is, where it lives, and who runs it."""
