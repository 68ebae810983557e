"""Numbers about the chemical elements, as arrays that a million candidates can index.

Every array has 104 entries, one for each atomic number from 0 to 103, and NaN where the
number is not known.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from jaxtyping import Float
from numpy import ndarray
from pymatgen.core import Element

N_NUMBERS = 104
"""Length of the arrays: atomic numbers up to that of lawrencium."""

# USD/kg. Wikipedia, "Prices of chemical elements", 8 September 2020, from the USGS, the
# Shanghai Metals Market, the London Metal Exchange and others, years 1999 to 2020; the
# middle of a range. B, F and Ba are priced in boric acid, hydrofluoric acid and barite, C
# as coal, Th and U as oxides. Isotopes sold by the milligram have no price here.
_PRICE_TABLE = """
H 1.39  He 24.0  Li 83.5  Be 857.0  B 3.68  C 0.122  N 0.140  O 0.154  F 2.00
Ne 240.0  Na 3.00  Mg 2.32  Al 1.79  Si 1.70  P 2.69  S 0.0926  Cl 0.082  Ar 0.931
K 12.85  Ca 2.28  Sc 3460.0  Ti 11.4  V 371.0  Cr 9.40  Mn 1.82  Fe 0.424  Co 32.8
Ni 13.9  Cu 6.00  Zn 2.55  Ga 148.0  Ge 962.0  As 1.15  Se 21.4  Br 4.39  Kr 290.0
Rb 15500.0  Sr 6.60  Y 31.0  Zr 36.4  Nb 73.5  Mo 40.1  Tc 1e5  Ru 10500.0
Rh 147000.0  Pd 49500.0  Ag 521.0  Cd 2.73  In 167.0  Sn 18.7  Sb 5.79  Te 63.5
I 35.0  Xe 1800.0  Cs 61800.0  Ba 0.260  La 4.85  Ce 4.64  Pr 103.0  Nd 57.5
Sm 13.9  Eu 31.4  Gd 28.6  Tb 658.0  Dy 307.0  Ho 57.1  Er 26.4  Tm 3000.0
Yb 17.1  Lu 643.0  Hf 900.0  Ta 305.0  W 35.3  Re 3580.0  Os 12000.0  Ir 55850.0
Pt 27800.0  Au 44800.0  Hg 30.2  Tl 4200.0  Pb 2.00  Bi 6.36  Th 287.0  U 101.0
"""


def by_number(number_of: Callable[[str], float | None]) -> Float[ndarray, " 104"]:
    """What a function knows of each element, read-only; NaN where it says None."""
    values = np.full(N_NUMBERS, math.nan)
    with warnings.catch_warnings():
        # Pymatgen warns of every number it lacks; NaN says the same.
        warnings.simplefilter("ignore", UserWarning)
        for number, symbol in enumerate(chemical_symbols[1:N_NUMBERS], start=1):
            value = number_of(symbol)
            values[number] = math.nan if value is None else float(value)
    values.flags.writeable = False
    return values


@functools.cache
def prices_USD_per_kg() -> Float[ndarray, " 104"]:
    """USD/kg of the elements, around 2020; its table says whence."""
    words = _PRICE_TABLE.split()
    table: dict[str, float] = {
        symbol: float(price)
        for symbol, price in zip(words[::2], words[1::2], strict=True)
    }
    return by_number(lambda symbol: table.get(symbol, math.nan))


@functools.cache
def supply_risks_hhi(*, of_reserves: bool = False) -> Float[ndarray, " 104"]:
    """Herfindahl-Hirschman indices of the elements, 0 to 10,000.

    Sum of the squared market shares in percent of the countries that produce an element,
    or hold its reserves; above 2,500 a market counts as highly concentrated. Gaultois et
    al., Chem. Mater. 25, 2911 (2013), as tabulated in pymatgen.
    """
    from pymatgen.analysis.hhi import HHIModel

    column = 1 if of_reserves else 0
    known = HHIModel().symbol_hhip_hhir
    return by_number(lambda s: known[s][column] if s in known else None)


@functools.cache
def masses() -> Float[ndarray, " 104"]:
    """Standard atomic masses in amu, as in ASE."""
    values = np.array(atomic_masses[:N_NUMBERS], dtype=float)
    values[0] = math.nan
    values.flags.writeable = False
    return values


@functools.cache
def electronegativities() -> Float[ndarray, " 104"]:
    """Pauling electronegativities, as in pymatgen."""
    return by_number(lambda symbol: Element(symbol).X)
