import ase
import numpy as np
import pytest
from ase.build import bulk

from gnndesign.plots.heat import thermal_curves
from gnndesign.plots.properties import draw
from gnndesign.properties.compute import compute
from gnndesign.properties.follow_mode import FollowMode
from gnndesign.properties.molecular_vibrations import MolecularVibrations
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.quasi_harmonic import QuasiHarmonic
from gnndesign.properties.thermal_conductivity import ThermalConductivity

QUICK = Phonons(
    min_length=7.0,
    even_supercell=True,
    mesh_length=20.0,
    n_band_points=60,
    temperature_step_K=100.0,
)


@pytest.fixture(scope="module")
def followed(lennard_jones):
    return compute(FollowMode(phonons=QUICK), bulk("Ar", "bcc", a=4.2), lennard_jones)


def test_bands_and_states_share_the_axis_of_frequency(followed):
    stable = draw(followed.end)
    assert stable.layout.yaxis2.matches == "y"
    assert stable.layout.yaxis.range[0] == 0
    bands, states = stable.data
    assert bands.xaxis == "x"
    assert states.xaxis == "x2"
    # Every band is there in full, but for the gaps between pieces of the path.
    drawn = np.array(bands.y, dtype=float)
    assert np.nanmax(drawn) == followed.end.bands.frequencies_THz.max()
    assert np.isfinite(drawn).sum() >= followed.end.bands.frequencies_THz.size - 10
    assert stable.layout.xaxis.ticktext[0] == "Γ"


def test_imaginary_modes_are_below_zero_in_another_color(followed):
    figure = draw(followed.start)
    by_name = {trace.name: trace for trace in figure.data if trace.name}
    imaginary = np.array(by_name["Imaginary"].y, dtype=float)
    assert np.nanmax(imaginary) <= 0
    assert np.nanmin(imaginary) == followed.start.bands.frequencies_THz.min()
    assert np.nanmin(np.array(by_name["Real"].y, dtype=float)) >= 0
    assert by_name["Imaginary"].line.color != by_name["Real"].line.color
    assert figure.layout.yaxis.range[0] < imaginary[np.isfinite(imaginary)].min()


def test_what_the_modes_lead_to_is_drawn_with_its_space_group(followed):
    (trace,) = draw(followed).data
    assert trace.text[0] == "Im-3m"
    assert "P6_3/mmc" in trace.text
    gain = followed.energy_gain_meV_per_atom
    assert min(trace.y) == pytest.approx(-gain, abs=0.05)


def test_thermal_curves_are_of_an_atom(followed):
    capacity, entropy, free = thermal_curves(followed.end).data
    assert max(capacity.y) == pytest.approx(24.9, abs=0.2)
    assert entropy.y[0] == 0
    zero = followed.end.zero_point_energy_meV_per_atom
    assert free.y[0] == pytest.approx(zero)


def test_a_molecule_has_a_stick_for_every_mode(lennard_jones):
    triangle = ase.Atoms("Ar3", [(0, 0, 0), (3.8, 0, 0), (1.9, 3.3, 0)])
    result = compute(MolecularVibrations(), triangle, lennard_jones)
    (sticks,) = draw(result).data
    assert sticks.x[::3] == pytest.approx(result.wavenumbers_per_cm)
    assert sticks.customdata[::3].tolist() == [1, 2, 3]


def test_expansion_and_conductivity_are_drawn(lennard_jones):
    cold = QuasiHarmonic(
        phonons=QUICK, max_strain=0.12, max_temperature_K=24.0, temperature_step_K=6.0
    )
    expansion = draw(compute(cold, bulk("Ar"), lennard_jones))
    titles = {axis.title.text for axis in expansion.select_yaxes()}
    assert "Thermal expansion (10⁻⁶/K)" in titles
    assert len(titles) == 6
    kappa = ThermalConductivity(mesh_length=12.0, temperatures_K=(40.0, 80.0))
    (line,) = draw(compute(kappa, bulk("Ar"), lennard_jones)).data
    assert line.y[0] > line.y[1] > 0
