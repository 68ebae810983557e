"""The fit of a sparse kernel: rows, solution, and what it has learned."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from salt import MOLECULE, SALT

from gnndesign.batch import AtomicBatch
from gnndesign.errors import (
    FitError,
    ParameterError,
    ShapeError,
    UnsupportedElementError,
)
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.files import save_potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.potentials.soap_kernel import SOAPKernelParameters
from gnndesign.training.kernel_rows import kernel_rows
from gnndesign.training.least_squares import LeastSquares
from gnndesign.training.sparse_kernel import farthest_points, fit_sparse_kernel

SMALL = {"n_max": 4, "l_max": 3, "cutoff": 4.5, "n_points": 12, "zeta": 3}


def salt(**shape):
    potential = new_potential("soap-kernel", ["Na", "Cl"], seed=3, **(SMALL | shape))
    potential.network.double()
    return potential


def labelled(potential, structures):
    """Energies, forces and stresses of a potential, as labels."""
    found = [potential.compute(atoms) for atoms in structures]
    energies = np.array([float(p.energy) for p in found])
    forces = [p.forces.numpy() for p in found]
    stresses = np.concatenate([p.stress.numpy() for p in found])
    return energies, forces, stresses


def copies(atoms, n, amplitude=0.15, strain=0.03):
    rng = np.random.default_rng(7)
    result = []
    for _ in range(n):
        copy = atoms.copy()
        cell = copy.cell.array @ (np.eye(3) + rng.normal(size=(3, 3)) * strain)
        copy.set_cell(cell, scale_atoms=True)
        copy.positions += rng.normal(size=copy.positions.shape) * amplitude
        result.append(copy)
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sparse_kernel_conforms(check, dtype):
    potential = salt()
    potential.network.to(dtype)
    check(potential, SALT)


@pytest.mark.parametrize("atoms", SALT, ids=lambda atoms: str(atoms.symbols))
def test_rows_times_weights_are_energy_forces_and_stress(atoms):
    potential = salt()
    network, shape = potential.network, potential.parameters.power_spectrum
    batch = AtomicBatch.from_atoms(atoms)
    edges = find_neighbors(batch, potential.cutoff)
    species = potential.species(batch)
    rows = kernel_rows(shape, list(network.points), network.zeta, species, batch, edges)
    weights = network.weights.flatten()
    found = potential.energy_and_slopes(batch, edges)
    energy, tolerance = found.atomic_energies.sum(), {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(rows.energy @ weights, energy, **tolerance)
    torch.testing.assert_close(rows.forces @ weights, -found.positions, **tolerance)
    torch.testing.assert_close(rows.virial @ weights, found.strain[0], **tolerance)


def test_rows_made_in_portions_are_those_made_at_once(monkeypatch):
    potential = salt()
    network, shape = potential.network, potential.parameters.power_spectrum
    batch = AtomicBatch.from_atoms(SALT[0])
    edges = find_neighbors(batch, potential.cutoff)
    inputs = (potential.species(batch), batch, edges)
    at_once = kernel_rows(shape, list(network.points), network.zeta, *inputs)
    monkeypatch.setattr("gnndesign.training.kernel_rows._NUMBERS_AT_ONCE", 5000)
    in_portions = kernel_rows(shape, list(network.points), network.zeta, *inputs)
    torch.testing.assert_close(in_portions.forces, at_once.forces)
    torch.testing.assert_close(in_portions.virial, at_once.virial)


def test_least_squares_in_portions_are_those_at_once():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(200, 7)), rng.normal(size=200)
    system = LeastSquares(7)
    for part in np.split(np.arange(200), [3, 50, 51, 120]):
        system.add(a[part], b[part])
    expected = np.linalg.lstsq(a, b, rcond=None)[0]
    np.testing.assert_allclose(system.solve(), expected, rtol=1e-12)


def test_points_are_far_from_each_other_and_never_equal():
    angles = torch.tensor([0.0, 0.1, 1.5, 0.1, 0.8, 0.0, 1.4], dtype=torch.float64)
    spectra = torch.stack([angles.cos(), angles.sin()], 1)
    assert farthest_points(spectra, 3).tolist() == [0, 2, 4]
    assert len(farthest_points(spectra, 7)) == 5


def test_the_weights_minimise_the_regularised_squares():
    argon = copies(bulk("Ar", "fcc", 5.3, cubic=True), 4)
    labels = labelled(LennardJones(), argon)
    sigmas = {"sigma_energy": 0.01, "sigma_force": 0.02, "sigma_stress": 0.001}
    shape = {**SMALL, "n_points": 6, "cutoff": 6.0}
    potential = new_potential("soap-kernel", ["Ar"], **shape)
    fitted = fit_sparse_kernel(potential, argon, *labels, **sigmas)
    network = fitted.network
    points = network.points[0]
    kernel = ((points @ points.mT) ** network.zeta).numpy()

    def cost(weights):
        network.weights[0] = torch.from_numpy(weights)
        e, f, s = labelled(fitted, argon)
        sizes = np.array([len(atoms) for atoms in argon])
        voigt = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
        return (
            np.sum(((e - labels[0]) / sizes / 0.01) ** 2)
            + np.sum((np.concatenate(f) - np.concatenate(labels[1])) ** 2) / 0.02**2
            + np.sum((s - labels[2])[:, *voigt] ** 2) / 0.001**2
            + weights @ kernel @ weights
        )

    best = network.weights[0].numpy().copy()
    lowest = cost(best)
    rng = np.random.default_rng(5)
    for direction in rng.normal(size=(6, 6)):
        ahead, behind = (cost(best + h * direction) for h in (1e-3, -1e-3))
        assert min(ahead, behind) > lowest
        assert ahead - lowest == pytest.approx(behind - lowest, rel=2e-3)


def test_a_fit_learns_the_forces_of_salt_and_keeps_its_input():
    crystals = copies(SALT[0], 16)
    # Points of its own, so that what it says is about structures like these.
    teacher = fit_sparse_kernel(salt(n_points=6), crystals[14:], np.zeros(2))
    generator = torch.Generator().manual_seed(6)
    shape = teacher.network.weights.shape
    teacher.network.weights[:] = 20 * torch.randn(shape, generator=generator)
    teacher.network.shift[:] = torch.tensor([-3.0, -7.0])
    labels = labelled(teacher, crystals)
    student = salt(n_points=100)
    before = student.network.weights.clone()
    said = []
    known = slice(0, 14)
    fitted = fit_sparse_kernel(
        student,
        crystals[known],
        *(label[known] for label in labels),
        sigma_energy=1e-4,
        sigma_force=1e-3,
        sigma_stress=1e-4,
        say=said.append,
    )
    energies, forces, _ = labelled(fitted, crystals[14:])
    wanted = np.concatenate(labels[1][14:])
    assert wanted.std() > 0.1
    error = np.concatenate(forces) - wanted
    assert np.sqrt((error**2).mean()) < 0.1 * wanted.std()
    spread = labels[0].std()
    assert np.abs(energies - labels[0][14:]).max() < 0.1 * spread
    assert torch.equal(student.network.weights, before)
    assert said[-1] == "Rows of 14 of 14 structures."


def test_missing_forces_and_stresses_are_not_asked_for(tmp_path):
    argon = copies(bulk("Ar", "fcc", 5.3, cubic=True), 5)
    argon.append(ase.Atoms("Ar2", [[0, 0, 0], [3.9, 0, 0]]))
    energies, forces, stresses = labelled(LennardJones(), argon)
    shape = {**SMALL, "cutoff": 6.0}
    potential = new_potential("soap-kernel", ["Ar"], **shape)
    stresses[1] = np.nan
    forces = [*forces[:3], None, *forces[4:]]
    fitted = fit_sparse_kernel(potential, argon, energies, forces, stresses)
    found = fitted.compute(argon)
    sizes = np.array([len(atoms) for atoms in argon])
    assert np.abs(found.energy.numpy() - energies).max() < 0.02 * sizes.max()
    path = tmp_path / "argon.safetensors"
    save_potential(fitted, path)
    again = load_potential(path, "cpu").compute(argon)
    assert torch.equal(again.energy, found.energy)
    assert torch.equal(again.forces, found.forces)
    only = fit_sparse_kernel(potential, argon, energies)
    assert not torch.allclose(only.compute(argon).forces, found.forces)


def test_an_element_with_few_atoms_has_fewer_points():
    potential = salt(n_points=30)
    labels = labelled(LennardJones(), [bulk("Ar", "fcc", 5.3)])
    fitted = fit_sparse_kernel(potential, [MOLECULE], labels[0])
    used = fitted.network.points.ne(0).any(-1).sum(1)
    assert used.tolist() == [2, 2]
    assert bool((fitted.network.weights[:, 2:] == 0).all())
    assert float(fitted.compute(MOLECULE).energy) == pytest.approx(labels[0][0])


def test_what_cannot_be_fitted_is_refused():
    kernel, energies = salt(), np.array([-1.0])
    with pytest.raises(ParameterError, match="soap-kernel"):
        fit_sparse_kernel(new_potential("soap", ["Na", "Cl"]), [MOLECULE], energies)
    with pytest.raises(ParameterError, match="sigmas"):
        fit_sparse_kernel(kernel, [MOLECULE], energies, sigma_force=0.0)
    with pytest.raises(FitError, match="none"):
        fit_sparse_kernel(kernel, [], np.zeros(0))
    with pytest.raises(ShapeError, match="1 structures"):
        fit_sparse_kernel(kernel, [MOLECULE], np.zeros(2))
    with pytest.raises(ShapeError, match="structure 0"):
        fit_sparse_kernel(kernel, [MOLECULE], energies, [np.zeros((2, 3))])
    with pytest.raises(FitError, match="not finite"):
        fit_sparse_kernel(kernel, [MOLECULE], np.array([np.nan]))
    with pytest.raises(FitError, match="no Cl"):
        fit_sparse_kernel(kernel, [ase.Atoms("Na")], energies)
    with pytest.raises(UnsupportedElementError):
        fit_sparse_kernel(kernel, [MOLECULE + ase.Atoms("K")], energies)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"n_points": 0}, "points"), ({"zeta": 0}, "zeta"), ({"n_max": 0}, "n_max")],
)
def test_a_shape_that_is_none_is_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        SOAPKernelParameters(**({"elements": (14,)} | changes))
