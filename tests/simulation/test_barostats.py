"""Constant pressure: equations of motion, symmetries, and what may not be."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.constraints import FixAtoms, FixCom
from scipy.linalg import expm

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError, StructureError
from gnndesign.members import join
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.base import Potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.simulation import npt_mtk
from gnndesign.simulation.base import Status
from gnndesign.simulation.cell_rescaling import StochasticCellRescaling
from gnndesign.simulation.constant_pressure import exponential
from gnndesign.simulation.npt_mtk import MartynaTobiasKlein
from gnndesign.simulation.relaxation import relax
from gnndesign.simulation.run import run
from gnndesign.simulation.schedule import Ramp

HEATING = Ramp((0.0, 240.0), (20.0, 60.0))
PRESSING = Ramp((0.0, 240.0), (0.0, 0.1))
METHODS = (MartynaTobiasKlein, StochasticCellRescaling)


def stepper(method, **options):
    """A fast barostat for argon, of compressibility 0.4 / GPa."""
    if method is StochasticCellRescaling:
        options = {"compressibility_per_GPa": 0.4, **options}
    common = {"timestep_fs": 4.0, "temperature_K": 40.0, "barostat_time_fs": 300.0}
    return method(**{**common, **options})


class OneByOne(Potential):
    """A Lennard-Jones that rounds alike in any company."""

    def __init__(self):
        self.inner = LennardJones()
        self.card, self.device = self.inner.card, self.inner.device
        self.cutoff = self.inner.cutoff

    def predict(self, batch, edges):
        del edges
        each = [AtomicBatch.from_atoms(atoms) for atoms in batch.to_atoms()]
        return join(
            [self.inner.predict(one, find_neighbors(one, self.cutoff)) for one in each]
        )


def skewed(seed=3):
    """A small crystal in a cell without symmetry."""
    atoms = bulk("Ar", "fcc", 5.3) * (2, 1, 2)
    strain = np.array([[0.03, 0.02, -0.01], [0.0, -0.02, 0.015], [0.01, 0.0, 0.01]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    rng = np.random.default_rng(seed)
    momenta = rng.normal(scale=0.4, size=(len(atoms), 3))
    atoms.set_momenta(momenta - momenta.mean(0))
    return atoms


def conserved(method, potential, start, steps, every=1):
    """(n_moments, n_systems) what the method conserves."""
    going = run(method, potential, start, max_steps=steps, every=every)
    found = []
    for _ in going:
        state = going.progress.members or going.progress.parked
        found.append(method.conserved_energy(state).numpy())
    return np.array(found)


@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_error_of_the_conserved_energy_grows_as_the_square_of_the_time_step(
    cell, argon, lennard_jones
):
    def error(timestep_fs):
        # Ramps of both: what they do to the system is part of the balance.
        method = stepper(
            MartynaTobiasKlein,
            timestep_fs=timestep_fs,
            cell=cell,
            temperature_K=HEATING,
            pressure_GPa=PRESSING,
            seed=2,
        )
        energy = conserved(method, lennard_jones, [start], round(240 / timestep_fs))
        return np.sqrt(((energy - energy[0]) ** 2).mean())

    start = argon(repeats=(2, 2, 2))
    coarse, fine = error(8.0), error(4.0)
    assert coarse / fine == pytest.approx(4.0, rel=0.1)
    # Against 0.1 eV of kinetic energy.
    assert fine < 3e-4


@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_effective_energy_of_cell_rescaling_is_conserved_by_small_steps(
    cell, argon, lennard_jones
):
    def errors(timestep_fs):
        method = stepper(
            StochasticCellRescaling, timestep_fs=timestep_fs, cell=cell, seed=2
        )
        steps = round(160 / timestep_fs)
        return np.diff(conserved(method, lennard_jones, [start] * 4, steps), axis=0)

    start = argon(repeats=(2, 2, 1))
    coarse, fine = errors(8.0), errors(2.0)
    # A step is wrong by dt to the power of 3/2 at random: 8 for a factor of 4.
    assert coarse.std() / fine.std() > 5.0
    # In each of them the noise of the cell moves 1e-4 eV.
    assert fine.std() < 3e-6


def test_a_step_of_martyna_tobias_klein_can_be_taken_back(lennard_jones):
    start = skewed()
    going = run(
        stepper(MartynaTobiasKlein, cell="full", pressure_GPa=0.1),
        lennard_jones,
        [start],
        max_steps=30,
    )
    moved = list(going)[-1]
    state = going.progress.parked
    chains = [
        replace(chain, momenta=-chain.momenta)
        for chain in (state.thermostat, state.barostat.chain)
    ]
    back = replace(
        state,
        momenta=-state.momenta,
        thermostat=chains[0],
        barostat=replace(
            state.barostat, momentum=-state.barostat.momentum, chain=chains[1]
        ),
    )
    going.progress = replace(going.progress, parked=back)
    going.max_steps = 60
    end = list(going)[-1]
    assert np.abs(moved.positions - start.positions).max() > 0.1
    np.testing.assert_allclose(end.positions, start.positions, atol=1e-10)
    np.testing.assert_allclose(end.cell[0], start.cell.array, atol=1e-10)
    np.testing.assert_allclose(end.momenta, -start.get_momenta(), atol=1e-10)


def matrix_of(axis, angle):
    atoms = ase.Atoms("H3", np.eye(3))
    atoms.rotate(angle, axis)
    return atoms.positions


@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_a_turned_crystal_moves_in_the_same_way(cell, lennard_jones, monkeypatch):
    def at_rest(state, seed):  # noqa: ARG001
        return torch.zeros_like(state.system.batch.cell)

    # The cell's first momentum is drawn in the frame of the laboratory.
    monkeypatch.setattr(npt_mtk, "symmetric_numbers", at_rest)
    start = skewed()
    rotation = matrix_of((1.0, -0.4, 0.7), 50.0)
    turned = start.copy()
    turned.set_cell(start.cell.array @ rotation)
    turned.set_positions(start.positions @ rotation)
    turned.set_momenta(start.get_momenta() @ rotation)
    method = stepper(MartynaTobiasKlein, cell=cell, pressure_GPa=0.5)
    one, other = (
        list(run(method, lennard_jones, atoms, max_steps=40))[-1]
        for atoms in (start, turned)
    )
    assert abs(one.volume[0] / start.cell.volume - 1) > 0.005
    np.testing.assert_allclose(other.cell[0], one.cell[0] @ rotation, atol=1e-10)
    np.testing.assert_allclose(other.positions, one.positions @ rotation, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_other_lattice_vectors_of_the_same_crystal_move_in_the_same_way(
    method, cell, lennard_jones
):
    start = skewed()
    other_vectors = np.array([[1, 1, 0], [0, 1, 0], [-1, 0, 1]])
    renamed = start.copy()
    renamed.set_cell(other_vectors @ start.cell.array)
    going = stepper(method, cell=cell, pressure_GPa=0.5)
    one, other = (
        list(run(going, lennard_jones, atoms, max_steps=40))[-1]
        for atoms in (start, renamed)
    )
    assert abs(one.volume[0] / start.cell.volume - 1) > 0.005
    np.testing.assert_allclose(other.cell[0], other_vectors @ one.cell[0], atol=1e-10)
    np.testing.assert_allclose(other.positions, one.positions, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_the_cell_is_strained_but_never_turned(method, argon, lennard_jones):
    going = run(
        stepper(method, cell="full"),
        lennard_jones,
        argon(repeats=(2, 2, 2)),
        max_steps=40,
    )
    cells = np.array([snapshot.cell[0] for snapshot in going])
    steps = np.linalg.solve(cells[:-1], cells[1:])
    np.testing.assert_allclose(steps, steps.transpose(0, 2, 1), atol=1e-13)
    # A cube became a brick that is skewed a little, and looks along x, y, z still.
    whole = np.linalg.solve(cells[0], cells[-1])
    assert np.abs(whole - np.diag(np.diag(whole))).max() > 1e-4
    left, _, right = np.linalg.svd(whole)
    np.testing.assert_allclose(left @ right, np.eye(3), atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_that_keeps_its_shape_keeps_it(method, lennard_jones):
    start = skewed()
    end = list(
        run(stepper(method, pressure_GPa=0.3), lennard_jones, start, max_steps=60)
    )[-1]
    ratio = end.volume[0] / start.cell.volume
    assert ratio < 0.97
    np.testing.assert_allclose(
        end.cell[0], start.cell.array * np.cbrt(ratio), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_fixed_lattice_vectors_stay(method, cell, lennard_jones):
    start = skewed()
    going = stepper(method, cell=cell, fixed_axes="b", pressure_GPa=0.3)
    end = list(run(going, lennard_jones, start, max_steps=60))[-1]
    np.testing.assert_allclose(end.cell[0, 1], start.cell[1], atol=1e-12)
    moved = np.abs(end.cell[0] - start.cell.array).max(1)
    assert (moved[[0, 2]] > 0.02).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_without_heat_the_cell_settles_where_the_enthalpy_is_least(
    method, cell, lennard_jones
):
    start = bulk("Ar", "fcc", 5.3, cubic=True)
    wanted = relax(
        start, lennard_jones, cell="isotropic", pressure_GPa=0.2, max_force=1e-5
    )
    going = stepper(
        method,
        cell=cell,
        pressure_GPa=0.2,
        temperature_K=0.0,
        timestep_fs=8.0,
        barostat_time_fs=100.0,
    )
    moments = list(run(going, lennard_jones, start, max_steps=240))
    volume = np.array([moment.volume[0] for moment in moments])
    assert volume[0] / wanted.atoms.cell.volume > 1.05
    # Without friction of its own, the one of the equations of motion swings a while.
    swing = [np.ptp(part) for part in np.split(volume[1:], 3)]
    assert swing[2] < 0.5 * swing[0]
    assert swing[2] < 0.02 * volume[0]
    assert volume[-80:].mean() == pytest.approx(wanted.atoms.cell.volume, rel=1e-3)
    pressure = np.array([moment.pressure_GPa[0] for moment in moments])
    assert pressure[-80:].mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_a_ramp_of_the_pressure_compresses(method, argon, lennard_jones):
    start = argon(repeats=(2, 1, 1), a=5.4)
    pressures = (0.0, Ramp((0.0, 1000.0), (0.0, 2.0)))
    going = stepper(
        method, timestep_fs=8.0, pressure_GPa=pressures, barostat_time_fs=200.0
    )
    end = list(run(going, lennard_jones, [start] * 2, max_steps=125, every=125))[-1]
    assert end.status.tolist() == [Status.FINISHED] * 2
    # Bulk modulus 2.7 GPa, rising by 7 for every GPa.
    assert 0.68 < end.volume[1] / end.volume[0] < 0.82
    assert end.pressure_GPa[1] == pytest.approx(2.0, abs=0.6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["isotropic", "full"])
def test_a_structure_does_not_feel_who_else_is_in_the_batch(method, cell, argon):
    first = skewed()
    others = [argon(repeats=(2, 1, 1), a=5.2), bulk("Kr", "fcc", 5.7) * (2, 1, 1)] * 4

    def end(structures, n):
        def each(low, high):
            return tuple(np.linspace(low, high, 9)[:n].tolist())

        going = stepper(
            method,
            cell=cell,
            temperature_K=each(30.0, 60.0),
            pressure_GPa=each(0.2, 0.0),
            timestep_fs=each(4.0, 2.0),
            barostat_time_fs=each(300.0, 600.0),
        )
        snapshots = run(going, OneByOne(), structures, max_steps=20, every=20)
        return next(s for s in snapshots if 0 in s.ids and s.step[0] == 20)

    alone, beside = end([first], 1), end([first, *others], 9)
    np.testing.assert_array_equal(alone.positions, beside.positions[:4])
    np.testing.assert_array_equal(alone.momenta, beside.momenta[:4])
    np.testing.assert_array_equal(alone.cell[0], beside.cell[0])
    assert alone.cell[0, 0, 0] != first.cell[0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_the_center_of_mass_keeps_its_place_in_the_cell(method, lennard_jones):
    start = skewed()
    start.positions += 200.0  # Never wrapped.
    end = list(
        run(stepper(method, pressure_GPa=0.3), lennard_jones, start, max_steps=30)
    )[-1]
    np.testing.assert_allclose(end.momenta.sum(0), 0.0, atol=1e-12)

    def place(positions, cell):
        return positions.mean(0) @ np.linalg.inv(cell)

    np.testing.assert_allclose(
        place(end.positions, end.cell[0]),
        place(start.positions, start.cell.array),
        rtol=1e-12,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_center_of_mass_stays_where_it_is(method, lennard_jones):
    start, free = skewed(), skewed()
    start.set_constraint(FixCom())
    going = stepper(method, pressure_GPa=0.3)
    end, other = (
        list(run(going, lennard_jones, atoms, max_steps=30))[-1]
        for atoms in (start, free)
    )
    np.testing.assert_allclose(
        end.positions.mean(0), start.positions.mean(0), atol=1e-12
    )
    # Nothing else is different.
    np.testing.assert_allclose(end.cell, other.cell, rtol=1e-9)
    assert np.abs(end.positions - other.positions).max() > 1e-3


def test_replicas_of_a_batch_have_cells_of_their_own(argon, lennard_jones):
    going = run(
        stepper(StochasticCellRescaling, temperature_K=0.01),
        lennard_jones,
        [argon()] * 2,
        max_steps=1,
    )
    volumes = list(going)[-1].volume
    assert volumes[0] != volumes[1]


@pytest.mark.parametrize("size", [0.0, 1e-9, 0.01, 0.19, 0.21, 1.0])
def test_the_matrix_exponential_and_its_mean_are_exact(size):
    matrix = np.random.default_rng(1).normal(size=(3, 3))
    matrix = size * (matrix + matrix.T)
    whole, mean = (
        found[0].numpy() for found in exponential(torch.tensor(matrix[None]))
    )
    np.testing.assert_allclose(whole, expm(matrix), rtol=1e-13, atol=1e-14)
    nodes, weights = np.polynomial.legendre.leggauss(30)
    integral = sum(
        0.5 * weight * expm(0.5 * (node + 1.0) * matrix)
        for node, weight in zip(nodes, weights, strict=True)
    )
    np.testing.assert_allclose(mean, integral, rtol=1e-12, atol=1e-14)


def no_axis():
    atoms = bulk("Ar", "fcc", 5.3, cubic=True)
    atoms.pbc = (True, True, False)
    return atoms


def held():
    atoms = bulk("Ar", "fcc", 5.3, cubic=True)
    atoms.set_constraint(FixAtoms([1]))
    return atoms


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("atoms", "said"),
    [
        (no_axis(), r"periodic along three axes; this one has pbc \[True, True, Fal"),
        (held(), "moves all atoms with the cell, so none can be fixed. Remove FixA"),
        (bulk("Ar", "fcc", 5.3), "wants two or more atoms"),
    ],
)
def test_structures_that_cannot_have_a_pressure_are_refused(
    method, atoms, said, lennard_jones
):
    with pytest.raises(StructureError, match=said):
        run(stepper(method), lennard_jones, atoms, max_steps=1)


@pytest.mark.parametrize(
    ("method", "wrong", "said"),
    [
        (MartynaTobiasKlein, {"cell": "none"}, "cell='isotropic' or 'full', got 'non"),
        (MartynaTobiasKlein, {"cell": "constant_volume"}, "got 'constant_volume'"),
        (MartynaTobiasKlein, {"fixed_axes": "abc"}, "one or two letters of 'abc'"),
        (MartynaTobiasKlein, {"barostat_time_fs": 0.0}, "<= barostat_time_fs, got 0"),
        (MartynaTobiasKlein, {"pressure_GPa": "high"}, "pressure_GPa as a number or"),
        (MartynaTobiasKlein, {"chain_length": 0}, "chain_length >= 1, got 0"),
        (
            StochasticCellRescaling,
            {"compressibility_per_GPa": 0.0},
            "<= compressibility_per_GPa, got 0",
        ),
    ],
)
def test_parameters_without_meaning_are_refused(method, wrong, said):
    with pytest.raises(ParameterError, match=said):
        method(**wrong)
