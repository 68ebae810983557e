"""Properties of molecular dynamics against published numbers; minutes each."""

import json

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.plots.properties import draw
from gnndesign.properties.compute import compute
from gnndesign.properties.density_temperature import DensityTemperature
from gnndesign.properties.liquid_structure import LiquidStructure
from gnndesign.properties.melting import Melting
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.sampling import Sampling
from gnndesign.properties.transport import Diffusion, yeh_hummer_cm2_per_s
from gnndesign.properties.vibrations_md import VibrationsMD
from gnndesign.properties.viscosity import Viscosity
from gnndesign.units import ELEMENTARY_CHARGE_C

pytestmark = pytest.mark.physics

SIGMA, EPSILON, MASS = 3.4, 0.01034, 39.948
UNIT_K = EPSILON / 8.617333262e-5


def survives_json(result):
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    return back.quantities() == result.quantities() and len(draw(back).data) > 0


def liquid(density):
    """108 atoms at a reduced density; off their lattice, so that they melt at once."""
    a = (4 / density) ** (1 / 3) * SIGMA
    atoms = bulk("Ar", "fcc", a=a, cubic=True) * (3, 3, 3)
    atoms.rattle(0.3, seed=1)
    return atoms


def test_density_follows_the_temperature_given_for_each_copy(lennard_jones):
    warm = DensityTemperature(
        temperatures_K=(60.0, 10.0),
        sampling=Sampling(
            timestep_fs=8.0,
            every=5,
            equilibration_ps=8.0,
            production_ps=60.0,
            ensemble="npt_cell_rescaling",
        ),
    )
    result = compute(warm, bulk("Ar", cubic=True) * (2, 2, 2), lennard_jones)
    assert result.temperatures_K == pytest.approx([10.0, 60.0])
    assert np.diff(result.volumes) > 3 * result.volume_errors.max()
    assert result.expansion_per_K > 3 * result.expansion_error_per_K
    # 39.948 amu in the volume of an atom.
    wanted = 39.948 * 32 / result.volumes * 1.66054
    assert result.densities_g_per_cm3 == pytest.approx(wanted, rel=1e-5)
    assert survives_json(result)


