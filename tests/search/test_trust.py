import ase
import pytest
from ase.build import bulk, molecule
from search_results import made_trial, perovskite
from toy_potential import ToyPotential

from gnndesign.search.trials import TrialStatus
from gnndesign.search.trust import closest_pair, of_composition, trust_flags


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    """As where nobody has the whole table."""
    monkeypatch.delenv("GNNDESIGN_DATA", raising=False)


def words(flags):
    return [flag.words for flag in flags]


def test_a_stable_compound_is_known():
    (flag,) = trust_flags(made_trial(0, {}), ToyPotential().card)
    assert (flag.level, flag.words) == ("good", "known, stable")
    # Materials Project of 2019, in the table of Bartel et al.: -0.043 eV/atom.
    assert "decomposition -0.043 eV/atom" in flag.sentence


def test_what_is_missing_in_the_small_table_is_not_called_new():
    flag = of_composition(perovskite("Sr", "Au"))
    assert (flag.level, flag.words) == ("warning", "not known to be stable")
    assert "SrAuO3 is not known to be stable" in flag.sentence


def test_elements_without_data_are_said():
    flags = trust_flags(made_trial(0, {}, atoms=perovskite("Xe", "Pu"), a="Xe", b="Pu"))
    (rare,) = (flag for flag in flags if flag.words == "rare element")
    assert "none of Xe" in rare.sentence
    assert "171 of Pu" in rare.sentence
    card = ToyPotential(elements=("Sr", "O")).card
    flags = trust_flags(made_trial(0, {}), card)
    assert words(flags)[0] == "unknown element"
    assert "not trained on Ti" in flags[0].sentence


def test_atoms_on_top_of_each_other_are_said():
    # B. Cordero et al., Dalton Trans. 2832 (2008): 0.66 Å for O.
    pair, distance, share = closest_pair(
        ase.Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.0]])
    )
    assert (pair, distance) == (("O", "O"), 1.0)
    assert share == pytest.approx(1 / 1.32)
    assert closest_pair(ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.8]])) is None
    squeezed = made_trial(0, {}, atoms=perovskite("Sr", "Ti", lattice=2.4))
    assert words(trust_flags(squeezed))[0] == "atoms too close"


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("C"),
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("Cu"),
        molecule("N2"),
        molecule("CO"),
        molecule("C2H2"),
        molecule("H2"),
        molecule("SO2"),
    ],
    ids=lambda atoms: atoms.get_chemical_formula(),
)
def test_bonds_of_nature_are_not_too_close(atoms):
    closest = closest_pair(atoms)
    assert closest is None or closest[2] > 0.68


def test_how_it_ended_comes_first():
    trial = made_trial(0, {}, status=TrialStatus.STEP_LIMIT, max_force=0.21)
    flags = trust_flags(trial)
    assert words(flags) == ["not converged", "known, stable"]
    assert "0.21 eV/Å" in flags[0].sentence
    failed = made_trial(0, {}, status=TrialStatus.DIVERGED, message="Boom.", atoms=None)
    assert [(f.level, f.sentence) for f in trust_flags(failed)] == [("bad", "Boom.")]
    missed = made_trial(0, {}, constraints={"energy above hull": 0.1})
    assert words(trust_flags(missed))[0] == "misses a constraint"
