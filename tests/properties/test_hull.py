import json
from dataclasses import replace

import pytest
from ase.build import bulk
from toy_potential import ToyPotential

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.properties.compute import compute
from gnndesign.properties.energy_above_hull import EnergyAboveHull
from gnndesign.properties.hull import Phase, hull
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import elemental_ground_state


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test meets energies that another has kept."""
    monkeypatch.setenv("GNNDESIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GNNDESIGN_DATA", raising=False)


def without_known(**parameters):
    """Nothing competes but what is said."""
    return EnergyAboveHull(most_atoms_of_known=0, **parameters)


def phase(energy, checksum="one", **amounts):
    formula = "".join(f"{s}{n}" for s, n in amounts.items())
    return Phase(
        formula=formula,
        amounts=amounts,
        energy_per_atom=energy,
        origin="given",
        checksum=checksum,
    )


A, B = phase(-1.0, Al=1), phase(-2.0, Ni=1)


def test_a_phase_is_as_far_above_the_hull_as_the_lever_rule_says():
    # AlNi: formation -0.4. Al3Ni: formation -0.1, half way to AlNi the hull is at -0.2.
    alni = phase(-1.5 - 0.4, Al=1, Ni=1)
    al3ni = phase(-1.25 - 0.1, Al=3, Ni=1)
    result = hull([al3ni, A, B, alni])
    assert result.formation_energy_per_atom == pytest.approx(-0.1)
    assert result.energy_above_hull_per_atom == pytest.approx(0.1)
    assert result.decomposition_energy_per_atom == pytest.approx(0.1)
    assert {(p.formula, round(p.fraction, 6)) for p in result.decomposition} == {
        ("Al1", 0.5),
        ("Al1Ni1", 0.5),
    }
    assert not result.is_stable
    stable = hull([alni, A, B, al3ni])
    assert stable.is_stable
    assert stable.energy_above_hull_per_atom == 0
    # Without it, the hull at AlNi is on the line from Al3Ni (-0.1 at 1/4) to Ni.
    assert stable.decomposition_energy_per_atom == pytest.approx(-0.4 + 0.1 * 2 / 3)


def test_a_polymorph_is_measured_against_the_lower_one():
    low, high = phase(-1.9, Al=1, Ni=1), phase(-1.85, Al=1, Ni=1)
    result = hull([high, A, B, low])
    assert result.energy_above_hull_per_atom == pytest.approx(0.05)
    assert result.decomposition_energy_per_atom == pytest.approx(-0.35)


def test_energies_of_two_potentials_never_meet():
    with pytest.raises(ParameterError, match="one potential"):
        hull([phase(-1.9, Al=1, Ni=1), A, replace(B, checksum="another")])
    with pytest.raises(ParameterError, match="got none of Ni"):
        hull([phase(-1.9, Al=1, Ni=1), A])


def test_an_element_is_on_its_hull():
    plain = without_known(prototypes=())
    result = compute(plain, elemental_ground_state("Cu"), ToyPotential())
    assert result.energy_above_hull_per_atom == pytest.approx(0, abs=1e-4)
    assert result.is_stable
    bcc = compute(plain, bulk("Cu", "sc", a=2.5), ToyPotential())
    assert bcc.energy_above_hull_per_atom > 0.01


def test_prototypes_compete_and_are_kept(tmp_path):
    wanted = without_known(prototypes=("rocksalt", "cscl"))
    potential = ToyPotential()
    result = compute(wanted, bulk("MgO", "zincblende", a=4.6), potential)
    assert [p.formula for p in result.phases] == ["MgO", "Mg", "O", "MgO", "MgO"]
    lowest = min(p.energy_per_atom for p in result.phases if p.formula == "MgO")
    assert result.energy_above_hull_per_atom == pytest.approx(
        result.phases[0].energy_per_atom - lowest
    )
    # Relaxed alone, the same energies: nothing of the company is in them.
    alone = compute(
        without_known(prototypes=()), build_crystal("MgO", "cscl"), potential
    )
    assert alone.phases[0].energy_per_atom == pytest.approx(
        result.phases[4].energy_per_atom, abs=1e-4
    )
    assert len(list((tmp_path / "cache" / "phases").glob("*.json"))) == 1
    before = potential.calls
    compute(wanted, bulk("MgO", "zincblende", a=4.6), potential)
    again = potential.calls - before
    before = potential.calls
    compute(without_known(prototypes=()), bulk("MgO", "zincblende", a=4.6), potential)
    assert again == potential.calls - before
    compute(wanted, bulk("MgO", "zincblende", a=4.6), ToyPotential(name="another"))
    assert len(list((tmp_path / "cache" / "phases").glob("*.json"))) == 2


def test_given_phases_compete_where_they_can():
    cscl = bulk("MgO", "cesiumchloride", a=2.6)
    foreign = bulk("CaO", "rocksalt", a=4.8)
    wanted = without_known(competing=(cscl, foreign), prototypes=())
    result = compute(wanted, bulk("MgO", "rocksalt", a=4.2), ToyPotential())
    assert [p.origin for p in result.phases] == [
        "structure",
        "element",
        "element",
        "given",
    ]
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()
    again = from_plain(json.loads(json.dumps(to_plain(wanted))))
    assert again.competing[0] == cscl
    short = without_known(
        competing=(bulk("MgO", "wurtzite", a=3.0, c=5.5),),
        prototypes=(),
        relaxing=Relaxing(max_steps=2, max_force=1e-3),
    )
    with pytest.raises(ConvergenceError, match="did not converge"):
        compute(short, bulk("MgO", "rocksalt", a=4.2), ToyPotential())


def test_what_the_table_knows_and_the_hull_does_not_is_said(monkeypatch):
    from gnndesign.properties import energy_above_hull

    monkeypatch.setattr(
        energy_above_hull, "stable_compounds", lambda _: ("MgO", "MgO2")
    )
    result = compute(
        without_known(prototypes=()),
        bulk("MgO", "rocksalt", a=4.2),
        ToyPotential(),
    )
    assert "no form on this hull: MgO2." in " ".join(result.notes)


def test_a_hull_needs_phases_of_their_own_shape():
    with pytest.raises(ParameterError, match="cell='full'"):
        EnergyAboveHull(relaxing=Relaxing(cell=None))
