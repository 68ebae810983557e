"""Relaxations end where they should, alone and together, with and without cell."""

import re
import warnings

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms, FixBondLength
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE as ASEFIRE

from gnndesign.errors import ParameterError, StructureError, UnsupportedElementError
from gnndesign.simulation.base import Status
from gnndesign.simulation.relaxation import METHODS, relax
from gnndesign.units import EV_PER_A3_TO_GPA


@pytest.mark.parametrize("method", METHODS)
def test_silicon_relaxes_to_the_lattice_constant_of_ase_and_sevenn(
    method, sevennet_0, sevenn_calculator
):
    start = bulk("Si")
    start.set_cell(start.cell.array * 1.03, scale_atoms=True)
    start.rattle(0.05, seed=4)
    ours = relax(start, sevennet_0, cell="full", max_force=0.005, method=method)
    assert ours.converged
    theirs = start.copy()
    theirs.calc = sevenn_calculator["sevennet-0"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ASEFIRE(FrechetCellFilter(theirs), logfile=None).run(fmax=0.005, steps=300)
    lattice_constants = ours.atoms.cell.lengths() * 2**0.5
    np.testing.assert_allclose(
        lattice_constants, theirs.cell.lengths() * 2**0.5, rtol=0, atol=2e-3
    )
    np.testing.assert_allclose(ours.atoms.cell.angles(), 60.0, rtol=0, atol=0.05)
    assert ours.energy / 2 == pytest.approx(theirs.get_potential_energy() / 2, abs=1e-5)
    # PBE silicon: 5.469 Å (Materials Project, mp-149).
    assert lattice_constants.mean() == pytest.approx(5.469, abs=0.03)


def test_a_molecule_takes_the_same_steps_as_in_ase(trimer, lennard_jones):
    ours = relax(trimer, lennard_jones, max_force=1e-4, method="fire")
    theirs = trimer.copy()
    theirs.calc = lennard_jones.as_calculator()
    optimizer = ASEFIRE(theirs, logfile=None)
    optimizer.run(fmax=1e-4, steps=500)
    assert ours.converged
    assert ours.steps == optimizer.nsteps
    # Three atoms at the minimum of every pair.
    assert ours.energy == pytest.approx(-3 * 0.01034, abs=1e-6)
    assert ours.energy == pytest.approx(theirs.get_potential_energy(), abs=1e-6)
    distances = ours.atoms.get_all_distances()[np.triu_indices(3, 1)]
    np.testing.assert_allclose(distances, 2 ** (1 / 6) * 3.4, rtol=0, atol=5e-3)


@pytest.mark.parametrize("method", METHODS)
def test_every_structure_of_a_batch_takes_the_steps_it_takes_alone(
    method, argon, trimer, lennard_jones
):
    several = [
        argon(),
        argon(repeats=(2, 1, 1), seed=2),
        argon(a=5.0, seed=3, amount=0.02),
        argon("Kr", a=5.5, seed=4),
    ]
    for cell, structures in (("full", several), (None, [*several, trimer])):
        options = {"cell": cell, "max_force": 1e-3, "method": method}
        together = relax(structures, lennard_jones, **options)
        assert len({result.steps for result in together}) > 1
        for atoms, result in zip(structures, together, strict=True):
            alone = relax(atoms, lennard_jones, **options)
            assert result.converged
            assert result.steps == alone.steps
            assert result.energy == pytest.approx(alone.energy, abs=1e-12)
            np.testing.assert_allclose(
                result.atoms.positions, alone.atoms.positions, rtol=0, atol=1e-9
            )
            np.testing.assert_allclose(
                result.history.energy, alone.history.energy, rtol=0, atol=1e-12
            )


def test_atoms_without_forces_in_a_strained_cell_are_not_converged(
    sheared, lennard_jones
):
    assert float(lennard_jones.compute(sheared).forces.abs().max()) < 1e-12
    fixed = relax(sheared, lennard_jones, max_force=1e-4)
    assert (fixed.status, fixed.steps) == (Status.CONVERGED, 0)
    free = relax(sheared, lennard_jones, cell="full", max_force=1e-4)
    assert free.converged
    assert free.steps > 5
    assert free.energy < fixed.energy - 1e-4
    cell_force = free.stress * free.atoms.cell.volume / len(free.atoms)
    assert np.linalg.norm(cell_force, axis=1).max() <= 1e-4
    np.testing.assert_allclose(free.atoms.cell.angles(), 60.0, rtol=0, atol=0.1)


def test_an_isotropic_cell_keeps_its_shape(sheared, lennard_jones):
    result = relax(sheared, lennard_jones, cell="isotropic", max_force=1e-4)
    assert result.converged
    ratio = result.atoms.cell.array @ np.linalg.inv(sheared.cell.array)
    np.testing.assert_allclose(ratio, ratio[0, 0] * np.eye(3), rtol=0, atol=1e-12)
    assert abs(ratio[0, 0] - 1) > 1e-3
    assert abs(np.trace(result.stress)) < 1e-4


def test_a_cell_of_constant_volume_keeps_its_volume(sheared, lennard_jones):
    result = relax(sheared, lennard_jones, cell="constant_volume", max_force=1e-5)
    assert result.converged
    assert result.atoms.cell.volume == pytest.approx(sheared.cell.volume, rel=1e-12)
    deviator = result.stress - np.trace(result.stress) / 3 * np.eye(3)
    assert np.abs(deviator).max() < 1e-6
    assert abs(np.trace(result.stress)) > 1e-4


@pytest.mark.parametrize("pressure_GPa", [0.5, -0.05])
def test_a_target_pressure_is_reached_at_the_lowest_enthalpy(
    pressure_GPa, sheared, lennard_jones
):
    result = relax(
        sheared,
        lennard_jones,
        cell="full",
        max_force=1e-6,
        pressure_GPa=pressure_GPa,
        max_steps=1000,
    )
    assert result.converged
    np.testing.assert_allclose(
        result.stress * EV_PER_A3_TO_GPA,
        -pressure_GPa * np.eye(3),
        rtol=0,
        atol=1e-5,
    )

    def enthalpy(atoms):
        volume = atoms.cell.volume * pressure_GPa / EV_PER_A3_TO_GPA
        return float(lennard_jones.compute(atoms).energy) + volume

    lowest = enthalpy(result.atoms)
    for factor in (0.999, 1.001):
        other = result.atoms.copy()
        other.set_cell(other.cell.array * factor, scale_atoms=True)
        assert enthalpy(other) > lowest + 1e-9


def test_fixed_atoms_do_not_move_and_their_forces_do_not_count(trimer, lennard_jones):
    start = trimer.copy()
    start.set_constraint(FixAtoms([0, 1]))
    result = relax(start, lennard_jones, max_force=1e-4)
    np.testing.assert_array_equal(result.atoms.positions[:2], trimer.positions[:2])
    assert result.converged
    assert result.steps > 0
    assert np.abs(result.atoms.positions[2] - trimer.positions[2]).max() > 0.05
    assert isinstance(result.atoms.constraints[0], FixAtoms)
    free = lennard_jones.compute(result.atoms).forces.norm(dim=1)
    assert float(free[:2].max()) > 1e-4 >= float(free[2])


def test_the_input_is_not_modified(argon, lennard_jones):
    start = argon()
    before = start.copy()
    relax(start, lennard_jones, cell="full", max_force=1e-3)
    assert start == before
    assert start.calc is None


def test_a_result_carries_its_own_energy_forces_and_stress(argon, lennard_jones):
    result = relax(argon(), lennard_jones, cell="full", max_force=1e-3)
    now = lennard_jones.compute(result.atoms)
    assert result.atoms.get_potential_energy() == result.energy
    assert result.energy == pytest.approx(float(now.energy), abs=1e-12)
    np.testing.assert_allclose(result.atoms.get_forces(), now.forces, atol=1e-12)
    np.testing.assert_allclose(
        result.atoms.get_stress(voigt=False), now.stress[0], atol=1e-12
    )
    assert result.max_force == pytest.approx(float(now.forces.norm(dim=1).max()))
    assert result.history.energy[-1] == result.energy
    assert result.history.step.tolist() == list(range(result.steps + 1))
    start = float(lennard_jones.compute(argon()).energy)
    assert result.history.energy[0] == pytest.approx(start, abs=1e-12)


def test_tags_and_info_of_the_input_stay(argon, lennard_jones):
    start = argon()
    start.set_tags([0, 1, 2, 3])
    start.info["name"] = "mine"
    result = relax(start, lennard_jones, max_steps=2)
    assert result.atoms.get_tags().tolist() == [0, 1, 2, 3]
    assert result.atoms.info["name"] == "mine"


def test_running_out_of_steps_is_a_status(argon, lennard_jones):
    result = relax(argon(), lennard_jones, max_force=1e-9, max_steps=3)
    assert (result.status, result.steps) == (Status.STEP_LIMIT, 3)
    assert not result.converged
    assert relax(argon(), lennard_jones, max_steps=0).status is Status.STEP_LIMIT


def test_a_relaxation_can_be_stopped(argon, lennard_jones):
    seen = []
    result = relax(
        [argon(), argon(seed=2)],
        lennard_jones,
        max_force=1e-9,
        on_snapshot=lambda snapshot: seen.append(int(snapshot.step.max())),
        should_stop=lambda: seen[-1] >= 4,
    )
    assert [r.status for r in result] == [Status.STOPPED] * 2
    assert [r.steps for r in result] == [4, 4]
    assert np.isfinite(result[0].energy)
    assert result[0].history.step.tolist() == [0, 1, 2, 3, 4]


def test_an_overlap_is_refused_with_its_atoms_named(lennard_jones, trimer):
    close = ase.Atoms("ArKrNe", [[0, 0, 0], [6, 0, 0], [6, 0.3, 0]])
    good, bad = relax([trimer, close], lennard_jones)
    assert good.status is Status.CONVERGED
    assert (bad.status, bad.steps) == (Status.DIVERGED, 0)
    assert re.match(r"Diverged at the start: atom (1|2) .* 0\.300 Å", bad.message)
    np.testing.assert_array_equal(bad.atoms.positions, close.positions)
    with pytest.raises(StructureError, match=r"at the start: atom (1|2) .* 0\.300 Å"):
        relax(close, lennard_jones)
    image = ase.Atoms("Ar", cell=[0.5, 9, 9], pbc=True)
    with pytest.raises(StructureError, match=r"image of atom 0 \(Ar\) are 0\.500"):
        relax(image, lennard_jones)


def test_what_cannot_be_relaxed_is_refused(trimer, lennard_jones, sevennet_0):
    with pytest.raises(
        StructureError, match=r"0 \(Ar3\): .* periodic along three axes"
    ):
        relax(trimer, lennard_jones, cell="full")
    with pytest.raises(ParameterError, match="Wanted cell=None or 'isotropic'"):
        relax(trimer, lennard_jones, cell="volume")
    with pytest.raises(ParameterError, match="max_force > 0"):
        relax(trimer, lennard_jones, max_force=0.0)
    with pytest.raises(ParameterError, match="max_steps >= 0"):
        relax(trimer, lennard_jones, max_steps=-1)
    with pytest.raises(UnsupportedElementError, match="Po"):
        relax(ase.Atoms("Po", cell=[3.3] * 3, pbc=True), sevennet_0)
    broken = trimer.copy()
    broken.positions[1] = np.nan
    with pytest.raises(StructureError, match="position 1 is"):
        relax(broken, lennard_jones)
    held = trimer.copy()
    held.set_constraint(FixBondLength(0, 1))
    with pytest.raises(StructureError, match="FixBondLengths; wanted FixAtoms"):
        relax(held, lennard_jones)
