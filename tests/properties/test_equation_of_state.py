import json

import numpy as np
import pytest
from ase.build import bulk, molecule

from gnndesign.errors import ConvergenceError, FitError, ParameterError, StructureError
from gnndesign.properties.catalog import PROPERTIES, new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.equation_of_state import FORMS, EquationOfState, fitted
from gnndesign.properties.outcomes import PropertyStatus
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.units import EV_PER_A3_TO_GPA


@pytest.mark.parametrize("form", FORMS)
def test_a_curve_gives_back_what_it_was_made_of(form):
    volumes = np.linspace(30, 50, 11)
    energies = FORMS[form](volumes, -10.0, 40.0, 0.6, 4.5)
    result = fitted(bulk("Si"), volumes, energies, form)
    assert result.volume == pytest.approx(40)
    assert result.bulk_modulus_GPa == pytest.approx(0.6 * EV_PER_A3_TO_GPA)
    assert result.bulk_modulus_derivative == pytest.approx(4.5)
    assert result.energy_per_atom == pytest.approx(-5)
    assert result.curve(volumes) == pytest.approx(energies)


@pytest.mark.parametrize("form", FORMS)
def test_the_bulk_modulus_is_the_curvature_at_the_minimum(form):
    h = 0.05
    energies = FORMS[form](np.array([40 - h, 40, 40 + h]), 0.0, 40.0, 0.6, 4.5)
    assert 40 * np.diff(energies, 2)[0] / h**2 == pytest.approx(0.6, rel=1e-5)


def test_argon_has_the_bulk_modulus_of_lennard_jones(lennard_jones):
    # For the fcc lattice with many shells: a = 1.5496 sigma, B = 75.2 eps/sigma^3.
    # (C. Kittel, Introduction to Solid State Physics, ch. 3; here the potential is cut.)
    result = compute(EquationOfState(), bulk("Ar", cubic=True), lennard_jones)
    sigma, epsilon = 3.405, 0.010325
    assert result.volume_per_atom == pytest.approx(1.5496**3 * sigma**3 / 4, rel=0.06)
    wanted = 75.2 * epsilon / sigma**3 * EV_PER_A3_TO_GPA
    assert result.bulk_modulus_GPa == pytest.approx(wanted, rel=0.12)


def test_silicon_of_sevennet(sevennet_0):
    result = compute(EquationOfState(), bulk("Si"), sevennet_0)
    assert result.volume_per_atom == pytest.approx(20.45, rel=0.01)
    assert 80 < result.bulk_modulus_GPa < 105
    assert result.residual_meV_per_atom < 0.1
    vinet = compute(EquationOfState(form="vinet"), bulk("Si"), sevennet_0)
    assert vinet.bulk_modulus_GPa == pytest.approx(result.bulk_modulus_GPa, rel=0.02)


def test_many_structures_give_the_same_as_one_by_one(sevennet_0):
    crystals = [bulk("Cu"), bulk("Si"), bulk("NaCl", "rocksalt", a=5.6)]
    together = compute(EquationOfState(), crystals, sevennet_0)
    for crystal, outcome in zip(crystals, together, strict=True):
        alone = compute(EquationOfState(), crystal, sevennet_0)
        assert outcome.result.bulk_modulus_GPa == pytest.approx(
            alone.bulk_modulus_GPa, rel=2e-3
        )


def test_one_that_fails_says_why_and_keeps_no_other(lennard_jones):
    crystals = [bulk("Ar"), molecule("H2O"), bulk("Ar", a=9.0)]
    quick = EquationOfState(relaxing=None)
    good, water, wide = compute(quick, crystals, lennard_jones)
    # As given, neither is at its minimum but the first.
    assert water.status is PropertyStatus.FAILED
    assert "not periodic" in water.message
    assert wide.status is PropertyStatus.FAILED
    assert "no minimum" in wide.message
    assert wide.result is None
    assert good.structure == 0
    with pytest.raises(StructureError, match="not periodic"):
        compute(quick, molecule("H2O"), lennard_jones)


def test_an_unconverged_relaxation_gives_no_number(lennard_jones):
    short = EquationOfState(relaxing=Relaxing(max_steps=1, max_force=1e-6))
    with pytest.raises(ConvergenceError, match="after 1 steps the cell is not"):
        compute(short, bulk("Ar", a=5.6), lennard_jones)


def test_a_bad_fit_gives_no_number():
    volumes = np.linspace(30, 50, 11)
    energies = np.abs(volumes - 40.0)
    energies[4] = -1.0
    with pytest.raises(FitError, match="not to be trusted"):
        fitted(bulk("Si"), volumes, energies)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_points": 3},
        {"strain": 0.9},
        {"form": "murnaghan"},
        {"at_each": Relaxing(cell="full")},
        {"n_point": 7},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("equation_of_state", **wrong)
    with pytest.raises(ParameterError, match="Did you mean"):
        new_property("equation_of_stat")
    assert "equation_of_state" in PROPERTIES


def test_a_result_survives_json(lennard_jones):
    result = compute(EquationOfState(), bulk("Ar"), lennard_jones)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert type(back) is type(result)
    assert back.quantities() == result.quantities()
    assert (back.energies == result.energies).all()
    assert (back.atoms.positions == result.atoms.positions).all()
    again = from_plain(json.loads(json.dumps(to_plain(EquationOfState(n_points=9)))))
    assert again == EquationOfState(n_points=9)
