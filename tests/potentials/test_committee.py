"""Committees: their mean, their spread, and whether their error bars hold."""

import json
import math

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.stats import t as student

from gnndesign import molecular_dynamics, relax
from gnndesign.errors import FitError, ParameterError, ShapeError, StructureError
from gnndesign.potentials.adapters.ase import ASEPotential
from gnndesign.potentials.calibration import calibrate
from gnndesign.potentials.committee import Committee
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.base import Status


def argon(n=3, size=0.12):
    frames = []
    for seed in range(n):
        atoms = bulk("Ar", "fcc", 5.2, cubic=True)
        atoms.rattle(size, seed=seed)
        frames.append(atoms)
    return frames


DEPTHS = (0.009, 0.0100, 0.0105, 0.0115)


def perturbed():
    return Committee([LennardJones(epsilon=depth) for depth in DEPTHS])


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_a_committee_of_members_with_other_cutoffs_conforms(check):
    members = [LennardJones(cutoff=5.0), LennardJones(cutoff=8.5)]
    triangle = ase.Atoms("Ar3", [[0, 0, 0], [3.5, 0.3, 0], [0.2, 4.0, 1]])
    check(Committee(members), [argon(1)[0], triangle])


def test_the_mean_of_members_is_the_potential_of_the_mean_depth():
    found = perturbed().compute(argon())
    expected = LennardJones(epsilon=np.mean(DEPTHS)).compute(argon())
    for name in ("energy", "forces", "stress", "atomic_energies"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


def test_members_of_several_depths_are_apart_by_the_spread_of_the_depths():
    found = perturbed().disagreement(argon())
    unit = LennardJones(epsilon=1.0).compute(argon())
    spread = np.std(DEPTHS, ddof=1)
    np.testing.assert_allclose(
        found.energy_spread, spread * np.abs(unit.energy.numpy()) / 4, rtol=1e-9
    )
    forces = unit.forces.numpy().reshape(3, 4, 3)
    expected = spread * np.sqrt((forces**2).mean(-1))
    np.testing.assert_allclose(np.stack(found.force_spread), expected, rtol=1e-9)
    np.testing.assert_allclose(found.max_force_spread, expected.max(1), rtol=1e-9)
    np.testing.assert_allclose(np.stack(found.forces), np.mean(DEPTHS) * forces)


def test_equal_members_agree_and_many_structures_are_taken_in_portions():
    committee = Committee([LennardJones()] * 3)
    several = [atoms.repeat(4) for atoms in argon(6)]  # 6 times 256 atoms.
    found = committee.disagreement(several)
    assert found.energy_spread.max() < 1e-15
    assert found.max_force_spread.shape == (6,)
    alone = committee.disagreement(several[5])
    assert alone.energy[0] == pytest.approx(found.energy[5], rel=1e-12)


def test_disagreement_is_largest_where_it_is_hot():
    """Members that were fitted alike at rest part where atoms come close."""
    committee = Committee([LennardJones(sigma=s) for s in (3.38, 3.40, 3.42)])
    cold, hot = argon(1, 0.02)[0], argon(1, 0.25)[0]
    found = committee.disagreement([cold, hot])
    assert found.max_force_spread[1] > 3 * found.max_force_spread[0]


def test_a_committee_relaxes_and_moves_like_its_mean():
    committee, mean = perturbed(), LennardJones(epsilon=np.mean(DEPTHS))
    start = argon(1)[0]
    one = relax(start, committee, max_force=1e-3)
    other = relax(start, mean, max_force=1e-3)
    assert one.energy == pytest.approx(other.energy, abs=1e-9)
    options = {"ensemble": "nve", "temperature_K": 30.0, "steps": 50, "seed": 1}
    one = molecular_dynamics(start, committee, **options)
    other = molecular_dynamics(start, mean, **options)
    assert one.status is Status.FINISHED
    np.testing.assert_allclose(one.atoms.positions, other.atoms.positions, atol=1e-9)


def test_members_without_a_cutoff_find_their_own_neighbors():
    emt = ASEPotential(EMT())
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05)
    both = Committee([emt, LennardJones(sigma=2.3, epsilon=0.4, cutoff=6.0)])
    expected = (
        both.members[0].compute(copper).energy + both.members[1].compute(copper).energy
    ) / 2
    torch.testing.assert_close(both.compute(copper).energy, expected)
    assert both.compute(copper).atomic_energies is None  # EMT says none.
    assert Committee([emt, emt]).cutoff is None
    assert Committee([emt, emt]).disagreement(copper).energy_spread[0] == 0.0


def test_the_card_says_who_sits_in_it():
    committee = perturbed()
    assert committee.card.title.startswith("Committee of 4: Lennard-Jones")
    assert committee.card.cutoff == 8.5
    other = Committee([LennardJones(), LennardJones(epsilon=0.02)])
    assert other.card.checksum != committee.card.checksum


def test_a_promise_that_a_member_does_not_make_is_not_made():
    member = LennardJones()
    member.is_mirror_symmetric = False
    assert not Committee([LennardJones(), member]).is_mirror_symmetric
    assert Committee([LennardJones(), member]).is_extensive


def test_fewer_than_two_members_and_no_structures_are_refused():
    with pytest.raises(ParameterError, match="two or more"):
        Committee([LennardJones()])
    with pytest.raises(StructureError, match="at least one structure"):
        perturbed().disagreement([])


def synthetic(true_factor, *, n=400, members=None, seed=0, per=30):
    """Errors that are normal with true_factor times their spread.

    The spread is known, or estimated from as many members.
    """
    rng = np.random.default_rng(seed)
    errors, spreads = [], []
    for _ in range(n):
        sigma = np.exp(rng.normal(size=per))
        errors.append(true_factor * sigma * rng.normal(size=per))
        if members is not None:
            sigma = (sigma * rng.normal(size=(members, per))).std(0, ddof=1)
        spreads.append(sigma)
    return errors, spreads


def test_normal_errors_give_the_known_factor_and_the_coverage_they_say():
    found = calibrate(*synthetic(2.5))
    assert found.factor == pytest.approx(2.5, rel=0.03)
    low, high = found.factor_interval
    assert low < 2.5 < high
    assert high - low < 0.25
    for level in (0.5, 0.68, 0.9, 0.95):
        assert found.coverage_at(level) == pytest.approx(level, abs=0.02)
    # Without the factor the error bars are two and a half times too short.
    raw = found.raw_coverage[list(found.levels).index(0.68)]
    assert raw == pytest.approx(math.erf(0.9945 / 2.5 / 2**0.5), abs=0.02)
    assert found.error_bar(0.1, 0.95) == pytest.approx(0.1 * 2.5 * 1.96, rel=0.04)
    np.testing.assert_allclose(found.bin_error, 2.5 * found.bin_spread, rtol=0.15)
    assert found.rank_correlation > 0.4


def test_a_spread_estimated_from_four_members_needs_students_distribution():
    errors, spreads = synthetic(1.0, members=4, n=600)
    right = calibrate(errors, spreads, degrees_of_freedom=3)
    normal = calibrate(errors, spreads)
    assert right.factor == pytest.approx(1.0, rel=0.06)
    assert right.coverage_at(0.95) == pytest.approx(0.95, abs=0.015)
    assert normal.coverage_at(0.95) < 0.92


def test_the_interval_of_the_factor_holds_the_true_one_in_most_repetitions():
    inside = 0
    for seed in range(40):
        found = calibrate(*synthetic(1.7, n=60, seed=seed, per=8), seed=seed)
        inside += found.factor_interval[0] < 1.7 < found.factor_interval[1]
    assert inside >= 31


def test_a_calibration_goes_into_json_and_refuses_what_it_did_not_count():
    found = calibrate(*synthetic(2.0, n=20), quantity="force component", unit="eV/Å")
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["degrees_of_freedom"] is None
    assert len(stored["coverage"]) == len(stored["levels"])
    assert np.diff(found.coverage).min() >= 0
    with pytest.raises(ParameterError, match=r"0\.68"):
        found.coverage_at(0.123)
    with pytest.raises(ParameterError, match="level"):
        found.error_bar(0.1, 1.0)


def test_too_few_structures_and_members_that_agree_are_no_calibration():
    with pytest.raises(FitError, match="Label more"):
        calibrate(*synthetic(1.0, n=5))
    errors, spreads = synthetic(1.0, n=20)
    with pytest.raises(FitError, match="no committee"):
        calibrate(errors, [0 * spread for spread in spreads])
    with pytest.raises(FitError, match="finite"):
        calibrate([np.nan * error for error in errors], spreads)


def test_a_committee_is_calibrated_with_forces_and_with_energies():
    """The truth is one more draw of the depth that its members were drawn from."""
    rng = np.random.default_rng(5)
    frames = argon(24, 0.15)
    depths = 0.0103 + 0.001 * rng.normal(size=8)
    committee = Committee([LennardJones(epsilon=float(e)) for e in depths])
    mean, spread = depths.mean(), depths.std(ddof=1)
    truth = LennardJones(epsilon=float(mean + 1.5 * spread))
    true = truth.compute(frames)
    forces = list(np.split(true.forces.numpy(), 24))
    forces[3] = None
    found = committee.calibrate(frames, forces=forces)
    # Every error is 1.5 spreads; of components the spread is the mean of an atom's.
    assert found.rms_ratio == pytest.approx(1.5, rel=1e-6)
    assert found.factor_interval[0] < found.factor < found.factor_interval[1]
    assert 0.8 < found.factor < 1.9
    assert found.degrees_of_freedom == 21
    assert found.n_structures + found.n_held_out == 23
    energy = true.energy.numpy().copy()
    energy[7] = np.nan
    found = committee.calibrate(frames, energy=energy)
    # All errors are equal: what is matched is their one quantile.
    matched = np.exp(np.log(student.ppf([0.75, 0.84, 0.95], 7)).mean())
    assert found.factor == pytest.approx(1.5 / matched, rel=1e-6)
    assert (found.quantity, found.unit) == ("energy per atom", "eV")
    assert found.coverage_at(0.95) == 1.0
    assert found.coverage_at(0.05) == 0.0


def test_labels_that_do_not_fit_the_structures_are_refused():
    committee = perturbed()
    with pytest.raises(ParameterError, match="one of them"):
        committee.calibrate(argon())
    with pytest.raises(ShapeError, match="each of 3"):
        committee.calibrate(argon(), energy=[0.0])
