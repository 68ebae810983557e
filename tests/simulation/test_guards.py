"""One structure that goes wrong is named, keeps its last good frame, and is left behind."""

import ase
import numpy as np
import pytest

from gnndesign.errors import StructureError
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation.base import Status
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.relaxation import relax


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_relaxation_that_breaks_leaves_the_others_as_they_are(
    value, argon, breaking, lennard_jones
):
    structures = [argon(), argon("Kr", a=5.5, seed=5), argon(seed=7)]
    good, bad, last = relax(
        structures, breaking(4, value), max_force=1e-4, method="fire"
    )
    assert bad.status is Status.DIVERGED
    assert bad.message.startswith("Diverged at step 4. ")
    assert "not finite" in bad.message
    assert "smaller time step" in bad.message
    assert bad.steps == 3
    # The last frame that was good: three steps of the sound potential.
    expected = relax(
        structures[1], lennard_jones, max_force=1e-4, method="fire", max_steps=3
    )
    np.testing.assert_array_equal(bad.atoms.positions, expected.atoms.positions)
    assert bad.energy == expected.energy
    for result, atoms in ((good, structures[0]), (last, structures[2])):
        alone = relax(atoms, lennard_jones, max_force=1e-4, method="fire")
        assert result.status is Status.CONVERGED
        assert result.steps == alone.steps
        assert result.energy == pytest.approx(alone.energy, abs=1e-12)


def test_dynamics_that_breaks_leaves_the_others_as_they_are(
    argon, breaking, lennard_jones
):
    structures = [argon("Kr", a=5.5), argon(seed=2)]
    bad, good = molecular_dynamics(structures, breaking(6), steps=12, seed=3)
    assert (bad.status, bad.steps) == (Status.DIVERGED, 5)
    assert np.isfinite(bad.atoms.positions).all()
    assert (good.status, good.steps) == (Status.FINISHED, 12)
    both = molecular_dynamics(structures, lennard_jones, steps=12, seed=3)
    np.testing.assert_allclose(
        good.atoms.positions, both[1].atoms.positions, rtol=0, atol=1e-12
    )


def test_all_of_a_batch_may_break(argon, breaking):
    results = relax(
        [argon("Kr", a=5.5), argon("Kr", a=5.4)], breaking(1), method="fire"
    )
    assert [result.status for result in results] == [Status.DIVERGED] * 2
    assert [result.steps for result in results] == [0, 0]


def test_atoms_shot_at_each_other_are_stopped_before_they_meet(trimer):
    pair = ase.Atoms("Ar2", [[0, 0, 0], [4.0, 0, 0]])
    pair.set_velocities([[0.5, 0, 0], [-0.5, 0, 0]])
    soft = LennardJones(epsilon=1e-9)
    bad, good = molecular_dynamics(
        [pair, trimer], soft, ensemble="nve", timestep_fs=1.0, steps=60
    )
    assert bad.status is Status.DIVERGED
    assert "closer than 0.5" in bad.message
    assert bad.atoms.get_distance(0, 1) > 0.5 * 2 * 1.06
    assert good.status is Status.FINISHED


def test_an_argon_collision_is_stopped_by_its_force(lennard_jones):
    pair = ase.Atoms("Ar2", [[0, 0, 0], [4.0, 0, 0]])
    pair.set_velocities([[2.5, 0, 0], [-2.5, 0, 0]])
    result = molecular_dynamics(
        pair,
        lennard_jones,
        ensemble="nve",
        timestep_fs=2.0,
        steps=60,
        max_energy_drift_meV=1e9,
    )
    assert result.status is Status.DIVERGED
    assert "exceeded 1000 eV/Å" in result.message
    assert np.abs(result.atoms.get_forces()).max() <= 1000


def test_a_huge_time_step_is_stopped_by_its_length(argon, lennard_jones):
    hot, cold = argon(), argon(seed=2)
    hot.set_velocities(np.tile([0.8, 0, 0], (4, 1)))
    cold.set_velocities(np.full((4, 3), 1e-4))
    bad, good = molecular_dynamics(
        [hot, cold], lennard_jones, ensemble="nve", timestep_fs=20.0, steps=3
    )
    assert bad.status is Status.DIVERGED
    assert "more than 1 Å in one step" in bad.message
    np.testing.assert_array_equal(bad.atoms.positions, hot.positions)
    assert good.status is Status.FINISHED


def test_a_start_whose_prediction_means_nothing_is_refused(argon, breaking):
    good, bad = relax([argon(), argon("Kr", a=5.5)], breaking(0))
    assert good.status is Status.CONVERGED
    assert (bad.status, bad.steps) == (Status.DIVERGED, 0)
    assert "not finite" in bad.message
    with pytest.raises(StructureError, match=r"at the start: .* not finite"):
        relax(argon("Kr", a=5.5), breaking(0))


def test_an_atom_that_leaves_chgnet_ends_only_its_own_run(chgnet):
    leaving = ase.Atoms("NaCl", [[0, 0, 0], [5.9, 0, 0]])
    leaving.set_velocities([[0, 0, 0], [0.1, 0, 0]])
    staying = ase.Atoms("NaCl", [[0, 0, 0], [2.5, 0, 0]])
    staying.set_velocities([[0, 0, 0], [0, 1e-3, 0]])
    bad, good = molecular_dynamics(
        [leaving, staying], chgnet, ensemble="nve", timestep_fs=1.0, steps=15
    )
    assert bad.status is Status.DIVERGED
    assert "left the reach of all others" in bad.message
    assert bad.atoms.get_distance(0, 1) < 6.0
    assert good.status is Status.FINISHED


def test_overlaps_are_noticed_though_the_potential_finds_its_own_neighbors(chgnet):
    pair = ase.Atoms("Si2", [[0, 0, 0], [2.3, 0, 0]])
    pair.set_velocities([[2.0, 0, 0], [-2.0, 0, 0]])
    result = molecular_dynamics(pair, chgnet, ensemble="nve", timestep_fs=1.0, steps=20)
    assert result.status is Status.DIVERGED
    assert result.atoms.get_distance(0, 1) >= 0.5 * 2 * 1.11
