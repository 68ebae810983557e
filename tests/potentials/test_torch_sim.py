"""Models of torch-sim as potentials: same numbers, rows and columns in order."""

import sys
import warnings

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from gnndesign.batch import AtomicBatch
from gnndesign.errors import (
    MissingDependencyError,
    ParameterError,
    ShapeError,
    StructureError,
)
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.adapters.torch_sim import TorchSimPotential
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.lennard_jones import LennardJones


def skewed(atoms):
    atoms = atoms.copy()
    atoms.rattle(0.08, seed=1)
    strain = [[0.01, 0.06, 0.0], [0.0, -0.01, 0.015], [0.005, 0.0, 0.02]]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


ARGON = skewed(bulk("Ar", "fcc", 5.2, cubic=True))
TRIMER = ase.Atoms("Ar3", [[0, 0, 0], [3.5, 0.3, 0], [0.2, 4.0, 1]])


@pytest.fixture(scope="module", autouse=True)
def torch_sim():
    """The package; importing it warns of what it uses of torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch_sim")


class Model(torch.nn.Module):
    """A torch-sim model that computes what our Lennard-Jones does."""

    def __init__(self, dtype=torch.float64, **flags):
        super().__init__()
        self.inner = LennardJones()
        self.device, self.dtype = torch.device("cpu"), dtype
        self.compute_forces = self.compute_stress = True
        self.ignores_pbc = False
        self.n_calls = 0
        vars(self).update(flags)

    def forward(self, state):
        self.n_calls += 1
        assert type(state).__name__ == "SimState"
        assert state.positions.dtype == state.masses.dtype == self.dtype
        periodic = True if self.ignores_pbc else state.pbc
        batch = AtomicBatch(
            positions=state.positions,
            cell=state.cell.mT.contiguous(),
            pbc=torch.full((state.n_systems, 3), periodic),
            atomic_numbers=state.atomic_numbers,
            system_index=state.system_idx,
        )
        found = self.inner.predict(batch, find_neighbors(batch, self.inner.cutoff))
        # A careless model: the input is its to change.
        state.positions += 1.0
        state.atomic_numbers.zero_()
        return {"energy": found.energy, "forces": found.forces, "stress": found.stress}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_sound_model_conforms(check, dtype):
    check(TorchSimPotential(Model(dtype)), [ARGON, TRIMER])


def test_structures_are_computed_together(lennard_jones):
    model = Model()
    TorchSimPotential(model).compute([ARGON] * 5)
    assert model.n_calls == 1
    mixed = [TRIMER, ARGON, TRIMER]
    got = TorchSimPotential(model).compute(mixed)
    assert model.n_calls == 3  # torch-sim has one flag of periodicity a call.
    expected = lennard_jones.compute(mixed)
    for name in ("energy", "forces", "stress"):
        torch.testing.assert_close(getattr(got, name), getattr(expected, name))


def test_a_model_that_ignores_periodicity_finds_no_images(lennard_jones):
    got = TorchSimPotential(Model(ignores_pbc=True)).compute(TRIMER)
    torch.testing.assert_close(got.energy, lennard_jones.compute(TRIMER).energy)


def test_torch_sims_own_state_gives_the_same(torch_sim):
    from torch_sim.models.lennard_jones import LennardJonesModel

    model = LennardJonesModel(
        sigma=3.4, epsilon=0.0103, cutoff=8.5, dtype=torch.float64, compute_stress=True
    )
    structures = [ARGON, bulk("Ar", "fcc", 5.1)]
    ours = TorchSimPotential(model).compute(structures)
    theirs = model(
        torch_sim.io.atoms_to_state(structures, torch.device("cpu"), torch.float64)
    )
    for name in ("energy", "forces", "stress"):
        assert torch.equal(getattr(ours, name), theirs[name]), name
    card = TorchSimPotential(model).card
    assert (card.name, card.cutoff) == ("LennardJonesModel", 8.5)


def test_sevennet_through_torch_sim_is_our_sevennet(sevennet_0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sevenn.calculator
        from sevenn.util import model_from_checkpoint

        # torch-sim 0.3 imports a name that sevenn 0.13 no longer has.
        sevenn.calculator.torch_script_type = torch.jit.ScriptModule
        from torch_sim.models.sevennet import SevenNetModel

        network, _ = model_from_checkpoint("7net-0")
        potential = TorchSimPotential(SevenNetModel(network, device="cpu"))
        structures = [
            skewed(bulk("NaCl", "rocksalt", 5.6)),
            molecule("CH3CH2OH"),
            skewed(bulk("Si")),
        ]
        got = potential.compute(structures)
    expected = sevennet_0.compute(structures)
    atoms = torch.tensor([2, 9, 2])
    torch.testing.assert_close(
        got.energy / atoms, expected.energy / atoms, rtol=0, atol=2e-6
    )
    torch.testing.assert_close(got.forces, expected.forces, rtol=0, atol=2e-5)
    torch.testing.assert_close(got.stress, expected.stress, rtol=0, atol=1e-6)


def test_what_torch_sim_cannot_do_is_refused():
    slab = ARGON.copy()
    slab.pbc = [True, True, False]
    with pytest.raises(StructureError, match="all axes or none"):
        TorchSimPotential(Model()).compute([TRIMER, slab])
    with pytest.raises(StructureError, match=r"Structure 1 .* compute_stress=True"):
        TorchSimPotential(Model(compute_stress=False)).compute([TRIMER, ARGON])
    with pytest.raises(ParameterError, match="compute_forces=True"):
        TorchSimPotential(Model(compute_forces=False))


def test_a_model_without_stress_computes_molecules(lennard_jones):
    got = TorchSimPotential(Model(compute_stress=False)).compute(TRIMER)
    torch.testing.assert_close(got.forces, lennard_jones.compute(TRIMER).forces)


def test_an_answer_of_another_shape_is_refused():
    class Odd(Model):
        def forward(self, state):
            return super().forward(state) | {"forces": torch.zeros(1, 3)}

    with pytest.raises(ShapeError, match=r"'forces' of shape \(4, 3\) .* got \(1, 3\)"):
        TorchSimPotential(Odd()).compute(ARGON)


def test_the_checksum_follows_the_parameters():
    def checksum(cutoff):
        return TorchSimPotential(Model(cutoff=cutoff)).card.checksum

    assert checksum(8.0) == checksum(8.0) != checksum(8.5)


def test_a_card_of_ones_own_is_shown_and_kept_to(lennard_jones):
    potential = TorchSimPotential(Model(), card=lennard_jones.card)
    assert potential.card is lennard_jones.card


def test_without_torch_sim_its_name_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_sim.state", None)
    with pytest.raises(MissingDependencyError, match="pip install torch-sim-atomistic"):
        TorchSimPotential(Model())
