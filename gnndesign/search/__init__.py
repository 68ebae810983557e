"""Looking for compositions on the sites of a prototype."""
