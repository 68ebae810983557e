import json

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from search_results import made_result, made_trial, perovskite
from toy_potential import ToyPotential

from gnndesign.errors import ParameterError
from gnndesign.properties.compute import compute
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.search.known_phases import KnownStructure, matching_structures
from gnndesign.search.rattled import Rattled, multiples
from gnndesign.search.reality import check_winners, iterate_checks
from gnndesign.search.reality_result import CheckStatus, Standing
from gnndesign.search.second_opinion import AskOpinion, disagreement
from gnndesign.structures.build import build_crystal
from gnndesign.structures.library import prototype

QUICK = Rattled(
    n_copies=2, most_atoms=8, relaxing_copies=Relaxing(max_force=1e-3, max_steps=500)
)


@pytest.fixture
def argon(lennard_jones):
    """ε = 0.01034 eV, σ = 3.4 Å (Kittel, Introduction to Solid State Physics, ch. 3)."""
    return lennard_jones


def words(check):
    return [flag.words for flag in check.flags]


def test_simple_cubic_argon_falls_to_close_packing(argon):
    result = compute(QUICK, bulk("Ar", "sc", a=3.6), argon)
    assert result.space_group == "Pm-3m"
    assert result.lowest_space_group != "Pm-3m"
    fcc = compute(QUICK, bulk("Ar", a=5.3), argon)
    assert fcc.energy_gain_per_atom < 1e-4
    assert fcc.space_group == fcc.lowest_space_group == "Fm-3m"
    # Bound by 8.61 ε in fcc, and by less in all that is not close-packed.
    assert result.energy_gain_per_atom > 0.01
    assert result.n_copies == 3
    assert result.n_atoms == 8


def test_a_cell_is_doubled_as_far_as_there_is_room():
    cell = perovskite("Sr", "Ti")
    assert multiples(cell, 40) == (2, 2, 2)
    assert multiples(cell, 39) == (2, 2, 1)
    assert multiples(cell, 10) == (2, 1, 1)
    assert multiples(cell, 9) == (1, 1, 1)
    long = ase.Atoms("Cu", cell=[9.0, 3.0, 4.0], pbc=True)
    assert multiples(long, 4) == (1, 2, 2)
    assert multiples(molecule("H2O"), 40) == (1, 1, 1)


def test_the_library_and_what_is_given_are_known():
    assert matching_structures(build_crystal("CaTiO3", "perovskite")) == (
        "(Cubic) Perovskite (CaTiO3)",
    )
    assert "Corundum (Al2O3)" in matching_structures(prototype("corundum").to_atoms())
    mine = perovskite("Sr", "Ti", lattice=4.1)
    assert matching_structures(mine) == ()
    given = [
        KnownStructure(
            name="ICSD 80873", atoms=perovskite("Sr", "Ti").repeat((2, 1, 1))
        ),
        perovskite("Ba", "Ti"),
        build_crystal("SrTiO3", "ilmenite"),
    ]
    assert matching_structures(mine, given) == ("ICSD 80873",)
    assert matching_structures(mine, [perovskite("Sr", "Ti")]) == ("SrTiO3",)


def test_winners_are_checked_and_a_bad_one_keeps_no_other_from_it(monkeypatch):
    monkeypatch.delenv("GNNDESIGN_DATA", raising=False)
    result = made_result(
        [
            made_trial(4, {"formation_energy": -3.0}, atoms=_salt("MgO")),
            made_trial(7, {"formation_energy": -2.0}, atoms=_salt("ZrO")),
            made_trial(8, {"formation_energy": -1.0}, constraints={"hull": 1.0}),
        ]
    )
    potential = ToyPotential(broken=["Zr"])
    heard = []
    checks = check_winners(result, potential, rattling=QUICK, on_progress=heard.append)
    assert [check.trial for check in checks] == [4, 7]
    good, bad = checks
    assert good.status is CheckStatus.CHECKED
    assert good.message == ""
    assert good.standing is Standing.KNOWN
    assert good.dft.formation_energy_per_atom == pytest.approx(-3.065, abs=1e-3)
    assert "known, stable" in words(good)
    assert good.rattled.energy_gain_per_atom >= 0
    assert good.is_elastically_stable is not None
    assert good.is_dynamically_stable is None
    assert bad.status is CheckStatus.FAILED
    assert "not finite" in bad.message
    assert "not all checked" in words(bad)
    assert bad.rattled is None
    assert heard[-1].done == heard[-1].total == 4
    assert heard[-1].message == "2 winners checked."
    # The worst are first.
    levels = [flag.level for flag in good.flags]
    assert levels == sorted(levels, key=["bad", "warning", "good"].index)


def _salt(formula):
    return bulk(formula, "rocksalt", a=4.4)


def test_simple_cubic_argon_is_elastically_unstable(argon):
    sc, fcc = check_winners(
        [bulk("Ar", "sc", a=3.6), bulk("Ar", a=5.3)], argon, rattling=QUICK
    )
    # Born: under pair forces simple cubic has no resistance to shear.
    assert sc.is_elastically_stable is False
    assert sc.bulk_modulus_GPa is None
    assert {"elastically unstable", "falls lower"} <= set(words(sc))
    assert fcc.is_elastically_stable is True
    assert fcc.bulk_modulus_GPa > 1
    assert {"elastically stable", "keeps its structure"} <= set(words(fcc))
    # An element is in no table of compounds, and its structure in the library.
    assert fcc.standing is Standing.KNOWN
    assert sc.trial is None


def test_phonons_are_computed_where_asked(argon):
    (check,) = check_winners(
        [bulk("Ar", a=5.3)], argon, rattling=QUICK, stability="phonons"
    )
    assert check.is_dynamically_stable is True
    assert check.is_elastically_stable is None
    assert check.min_frequency_THz > -0.1
    assert "dynamically stable" in words(check)


def test_two_potentials_are_compared_each_against_its_own_elements():
    structure = bulk("NaCl", "rocksalt", a=5.0)
    alike = check_winners(
        [structure],
        ToyPotential(),
        ToyPotential(name="twin"),
        rattling=QUICK,
        stability=None,
    )[0]
    assert alike.disagreement.potential == "twin"
    assert alike.disagreement.force_difference == pytest.approx(0, abs=1e-6)
    assert alike.disagreement.volume_difference == pytest.approx(0, abs=1e-4)
    assert alike.disagreement.formation_energy_difference == pytest.approx(0, abs=1e-4)
    assert "potentials agree" in words(alike)
    assert alike.standing is Standing.KNOWN


def test_where_potentials_contradict_each_other_neither_is_believed(argon):
    (check,) = check_winners(
        [bulk("Ar", a=5.3)], argon, ToyPotential(), rattling=QUICK, stability=None
    )
    assert check.standing is Standing.OUTSIDE
    assert words(check)[0] == "potentials disagree"
    assert check.disagreement.force_difference > 0.5
    assert "not judged" in check.flags[0].sentence


def test_the_difference_of_forces_is_that_of_their_lengths():
    card = ToyPotential().card
    opinion = compute(
        AskOpinion(n_frames=2), bulk("NaCl", "rocksalt", a=5.0), ToyPotential()
    )
    assert opinion.forces.shape == (2, 16, 3)
    from dataclasses import replace

    opposite = replace(opinion, forces=-opinion.forces)
    assert disagreement(
        opinion, opposite, card, card
    ).force_difference == pytest.approx(2)
    softer = replace(opinion, forces=0.8 * opinion.forces)
    expected = 0.2 / np.sqrt((1 + 0.64) / 2)
    found = disagreement(opinion, softer, card, card)
    assert found.force_difference == pytest.approx(expected)
    assert found.same_level_of_theory


def test_a_second_potential_without_the_element_is_no_obstacle():
    other = ToyPotential(name="narrow", elements=("Na",))
    (check,) = check_winners(
        [bulk("NaCl", "rocksalt", a=5.0)],
        ToyPotential(),
        other,
        rattling=QUICK,
        stability=None,
    )
    assert check.disagreement is None
    assert check.status is CheckStatus.FAILED
    assert "narrow" in check.message


def test_checks_stop_when_they_are_told_to(argon):
    calls = []

    def should_stop():
        calls.append(1)
        return len(calls) > 3

    progress = list(
        iterate_checks([bulk("Ar", "sc", a=3.6)], argon, should_stop=should_stop)
    )
    (check,) = progress[-1].checks
    assert check.status is CheckStatus.STOPPED
    assert progress[-1].message == "Stopped."


def test_a_molecule_is_checked_without_a_cell():
    (check,) = check_winners([molecule("H2O")], ToyPotential(), rattling=QUICK)
    assert check.rattled.space_group == ""
    assert check.dft is None
    assert check.is_elastically_stable is None
    assert "not periodic" in check.message


def test_checks_survive_json(argon):
    (check,) = check_winners([bulk("Ar", a=5.3)], argon, ToyPotential(), rattling=QUICK)
    text = json.dumps(to_plain(check), allow_nan=False)
    back = from_plain(json.loads(text))
    assert back.flags == check.flags
    assert back.standing is check.standing
    assert back.disagreement == check.disagreement
    assert back.rattled.lowest == check.rattled.lowest
    assert json.dumps(to_plain(back)) == text


def test_nothing_is_not_checked():
    with pytest.raises(ParameterError, match="has a structure"):
        check_winners([made_trial(0, {}, atoms=None)], ToyPotential())
    with pytest.raises(ParameterError, match="n_copies"):
        Rattled(n_copies=0)


def test_cubic_calcium_zirconate_of_sevennet_tilts(sevennet_0):
    # Orthorhombic in nature: H. J. A. Koopmans et al., Acta Cryst. C39, 1323 (1983).
    wanted = Rattled(
        n_copies=1,
        most_atoms=20,
        relaxing_copies=Relaxing(max_force=0.05, max_steps=60),
    )
    result = compute(wanted, build_crystal("CaZrO3", "perovskite"), sevennet_0)
    assert result.space_group == "Pm-3m"
    assert result.energy_gain_per_atom > 0.05
