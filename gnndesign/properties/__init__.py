"""What a laboratory measures, computed with a potential: one property a file.

A property is a frozen dataclass of parameters (`EquationOfState(n_points=11)`) whose
`steps` say what is to be relaxed or evaluated and turn the answers into a result. The
steps of all properties of all structures go through one queue, `compute`.
"""
