"""The notebook interface of gnndesign."""
