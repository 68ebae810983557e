"""Fast evaluation of an equivariant network: constants folded, radial weights tabulated."""
