import json

import numpy as np
import pytest
from ase.build import bulk

from gnndesign.errors import FitError, ParameterError, StructureError
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.quasi_harmonic import QuasiHarmonic
from gnndesign.units import EV_TO_J_PER_MOL

GAS_CONSTANT = 8.314462618
QUICK = Phonons(min_length=7.0, mesh_length=30.0)
COLD = QuasiHarmonic(
    phonons=QUICK, max_strain=0.15, max_temperature_K=60.0, temperature_step_K=3.0
)


@pytest.fixture(scope="module")
def argon(lennard_jones):
    return compute(COLD, bulk("Ar"), lennard_jones)


def mean_gruneisen(modes):
    known = np.isfinite(modes.parameters)
    weights = known * modes.weights[:, None]
    return np.average(np.where(known, modes.parameters, 0.0), weights=weights)


def test_modes_shift_as_the_entropy_of_the_hot_crystal_says(argon, lennard_jones):
    # Classical: S = k Σ ln(kT / hν) + ..., so that the mean γ is (V / C) ∂S/∂V.
    sampled = argon.sampled_volumes
    at = int(np.abs(sampled - argon.modes.volume).argmin())
    fixed = Phonons(
        relaxing=None, min_length=7.0, mesh_length=30.0, temperature_step_K=500.0
    )
    crystals = [bulk("Ar", a=(4 * v) ** (1 / 3)) for v in sampled[[at - 1, at + 1]]]
    small, large = (
        compute(fixed, crystal, lennard_jones).thermal for crystal in crystals
    )
    change = large.entropy_J_per_mol_K[-1] - small.entropy_J_per_mol_K[-1]
    strain = (sampled[at + 1] - sampled[at - 1]) / sampled[at]
    wanted = change / strain / (3 * GAS_CONSTANT)
    assert mean_gruneisen(argon.modes) == pytest.approx(wanted, rel=0.02)


def test_the_expansion_follows_from_the_modes(argon):
    # β = γ C_V / (B V), with γ of the modes (E. Grüneisen, Ann. Phys. 344, 257 (1912)).
    near = int(np.abs(argon.volumes - argon.modes.volume).argmin())
    assert argon.temperatures_K[near] > 10
    assert argon.gruneisen[near] == pytest.approx(mean_gruneisen(argon.modes), rel=0.1)
    assert np.isnan(argon.gruneisen[0])
    assert argon.thermal_expansion_per_K[0] == 0
    assert (np.diff(argon.volumes) > 0).all()


def test_thermodynamic_relations_hold(argon):
    temperature, volume = argon.temperatures_K, argon.volumes
    warm = slice(6, -3)
    slope = -np.gradient(argon.gibbs_free_energy, temperature) * EV_TO_J_PER_MOL
    assert argon.entropy_J_per_mol_K[warm] == pytest.approx(slope[warm], rel=0.01)
    capacity = temperature * np.gradient(argon.entropy_J_per_mol_K, temperature)
    found = argon.heat_capacity_P_J_per_mol_K
    assert found[warm] == pytest.approx(capacity[warm], rel=0.02)
    # C_P - C_V = T V β² B, and C_V of harmonic phonons never exceeds 3 R.
    giga_pascal = EV_TO_J_PER_MOL / 160.2176634
    excess = temperature * volume * argon.thermal_expansion_per_K**2
    excess = excess * argon.bulk_modulus_GPa * giga_pascal
    at_volume = (found - excess)[warm]
    assert (at_volume < 3 * GAS_CONSTANT).all()
    assert at_volume[-1] == pytest.approx(3 * GAS_CONSTANT, rel=0.12)


def test_pressure_makes_the_crystal_smaller(argon, lennard_jones):
    pressed = QuasiHarmonic(
        phonons=QUICK,
        min_strain=-0.06,
        max_strain=0.1,
        max_temperature_K=20.0,
        temperature_step_K=5.0,
        pressure_GPa=0.01,
    )
    result = compute(pressed, bulk("Ar"), lennard_jones)
    # ΔV / V = -p / B.
    wanted = argon.volumes[0] * (1 - 0.01 / argon.bulk_modulus_GPa[0])
    assert result.volumes[0] == pytest.approx(wanted, rel=5e-4)
    assert result.volumes[0] < 0.998 * argon.volumes[0]


def test_temperatures_beyond_the_volumes_are_left_out_and_told(lennard_jones):
    narrow = QuasiHarmonic(
        phonons=QUICK, max_strain=0.08, max_temperature_K=80.0, temperature_step_K=5.0
    )
    result = compute(narrow, bulk("Ar"), lennard_jones)
    assert result.temperatures_K[-1] < 80
    assert result.volumes.max() < result.sampled_volumes.max()
    assert "larger max_strain" in result.notes[0]
    cold = QuasiHarmonic(
        phonons=QUICK, min_strain=-0.1, max_strain=-0.05, max_temperature_K=40.0
    )
    with pytest.raises(FitError):
        compute(cold, bulk("Ar"), lennard_jones)


def test_imaginary_modes_have_no_free_energy(lennard_jones):
    with pytest.raises(StructureError, match=r"imaginary modes .* no free energy"):
        compute(COLD, bulk("Ar", "bcc", a=4.2), lennard_jones)


def test_a_result_survives_json(argon):
    back = from_plain(json.loads(json.dumps(to_plain(argon), allow_nan=False)))
    assert (back.volumes == argon.volumes).all()
    assert back.modes.volume == argon.modes.volume
    assert from_plain(json.loads(json.dumps(to_plain(COLD)))) == COLD


@pytest.mark.slow
def test_silicon_of_sevennet_expands_little(sevennet_0):
    result = compute(QuasiHarmonic(), bulk("Si"), sevennet_0)
    # Measured: 7.7e-6 1/K and 97.9 GPa at 300 K; the potential is known to be soft.
    assert 5e-6 < result.thermal_expansion_300K_per_K < 4e-5
    capacity = result.heat_capacity_P_per_atom_300K_J_per_mol_K
    assert capacity == pytest.approx(20.0, rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_volumes": 4},
        {"min_strain": 0.1, "max_strain": 0.0},
        {"form": "murnaghan"},
        {"temperature_step_K": 500.0},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("quasi_harmonic", **wrong)
