"""What is constrained does not move, and what is left comes to rest."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.constraints import (
    FixAtoms,
    FixBondLength,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixSymmetry,
)

from gnndesign.batch import AtomicBatch
from gnndesign.errors import StructureError
from gnndesign.members import join
from gnndesign.simulation.constraints import Constraints
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.freedom import with_its_symmetry
from gnndesign.simulation.relaxation import METHODS, relax


@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_center_of_mass_stays(method, argon, springs):
    # Each atom is held by a spring of its own; together they would move.
    start = argon()
    start.set_masses([1.0, 2.0, 3.0, 4.0])
    sites = start.positions + np.array([0.3, -0.1, 0.2]) + argon(amount=0.0).positions
    sites = sites - argon(amount=0.0).positions
    potential = springs(sites, k=2.0)
    free = relax(start, potential, method=method, max_force=1e-6)
    assert (
        np.abs(free.atoms.get_center_of_mass() - start.get_center_of_mass()).max() > 0.1
    )
    asked = relax(start, potential, method=method, max_force=1e-6, fix_center=True)
    start.set_constraint(FixCom())
    told = relax(start, potential, method=method, max_force=1e-6)
    for result in (asked, told):
        assert result.converged
        np.testing.assert_allclose(
            result.atoms.get_center_of_mass(), start.get_center_of_mass(), atol=1e-12
        )
        # At rest under the constraint Σ m r, every force is λ m.
        forces = 2.0 * (sites - result.atoms.positions)
        multiplier = forces / start.get_masses()[:, None]
        np.testing.assert_allclose(
            multiplier, np.tile(multiplier[0], (4, 1)), rtol=0, atol=1e-5
        )
        assert np.abs(multiplier).max() > 0.05


def test_a_fixed_center_of_mass_and_fixed_atoms_go_together(argon, springs):
    start = argon()
    start.set_constraint([FixAtoms([0]), FixCom()])
    potential = springs(start.positions + np.array([0.2, 0.0, 0.1]), k=1.0)
    result = relax(start, potential, max_force=1e-6)
    assert result.converged
    np.testing.assert_array_equal(result.atoms.positions[0], start.positions[0])
    np.testing.assert_allclose(
        result.atoms.get_center_of_mass(), start.get_center_of_mass(), atol=1e-12
    )


@pytest.mark.parametrize("method", METHODS)
def test_atoms_move_only_in_the_directions_that_are_left(method, argon, springs):
    start = argon(amount=0.0)
    tilted = np.array([1.0, 2.0, -1.0]) / 6**0.5
    start.set_constraint(
        [
            FixCartesian([0], mask=(True, False, True)),
            FixedPlane(1, tilted),
            FixedLine(2, tilted),
            FixedPlane(3, [0, 0, 1]),
            FixedPlane(3, [0, 1, 0]),
        ]
    )
    wanted = np.array([0.2, -0.3, 0.1])
    potential = springs(start.positions + wanted, k=1.5)
    result = relax(start, potential, method=method, max_force=1e-7)
    assert result.converged
    moved = result.atoms.positions - start.positions
    np.testing.assert_allclose(
        moved,
        [
            [0.0, wanted[1], 0.0],
            wanted - tilted * (wanted @ tilted),
            tilted * (wanted @ tilted),
            [wanted[0], 0.0, 0.0],
        ],
        rtol=0,
        atol=1e-6,
    )


def test_constraints_that_do_not_go_together_are_refused(argon, lennard_jones):
    start = argon(amount=0.0)
    start.set_constraint(FixedPlane(0, [0, 0, 1]))
    with pytest.raises(StructureError, match="free in some directions"):
        relax(start, lennard_jones, cell="full")
    with pytest.raises(StructureError, match="does not go together with FixedPlane"):
        relax(start, lennard_jones, fix_symmetry=True)
    start.set_constraint(FixBondLength(0, 1))
    with pytest.raises(StructureError, match="FixBondLengths; wanted FixAtoms"):
        relax(start, lennard_jones)


@pytest.mark.parametrize("kind", ["symmetry", "plane", "direction"])
def test_dynamics_refuses_the_constraints_of_relaxations(kind, argon, lennard_jones):
    start = argon(amount=0.0)
    constraint = {
        "symmetry": lambda: FixSymmetry(start.copy()),
        "plane": lambda: FixedPlane(0, [0, 0, 1]),
        "direction": lambda: FixCartesian([0], (True, False, False)),
    }[kind]()
    start.set_constraint(constraint)
    name = type(constraint).__name__
    with pytest.raises(StructureError, match=f"FixAtoms and FixCom; .* has {name}"):
        molecular_dynamics(start, lennard_jones, ensemble="nve", steps=1)


def test_constraints_of_a_batch_are_those_of_its_structures(argon, trimer):
    held = argon()
    held.set_constraint([FixAtoms([1]), FixCom()])
    crystal = with_its_symmetry(bulk("Ar", "hcp", a=3.7, c=6.1) * (2, 1, 1), 1e-3)
    structures = [held, crystal, trimer]
    rng = np.random.default_rng(0)
    vectors = [torch.as_tensor(rng.normal(size=(len(a), 3))) for a in structures]
    batch = AtomicBatch.from_atoms(structures)
    masses = torch.as_tensor(np.concatenate([a.get_masses() for a in structures]))
    together = Constraints.from_atoms(structures)
    joined = join([Constraints.from_atoms([atoms]) for atoms in structures])
    for constraints in (together, joined):
        found = constraints.on_atoms(batch, torch.cat(vectors))
        found = constraints.without_center(batch, found, masses)
        for k, atoms in enumerate(structures):
            own = Constraints.from_atoms([atoms])
            single = AtomicBatch.from_atoms([atoms])
            alone = own.on_atoms(single, vectors[k])
            mass = torch.as_tensor(atoms.get_masses())
            alone = own.without_center(single, alone, mass)
            np.testing.assert_allclose(
                found[batch.system_index == k], alone, rtol=0, atol=1e-14
            )
            # A projection: what is let through once is let through again.
            again = own.without_center(single, own.on_atoms(single, alone), mass)
            np.testing.assert_allclose(again, alone, rtol=0, atol=1e-12)
    # Two atoms on mirrors and an axis, and nothing else: no direction is left.
    assert float(found[batch.system_index == 1].abs().max()) < 1e-12
