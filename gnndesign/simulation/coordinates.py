"""Where a relaxation is, in coordinates in which the energy is a function of a vector.

With the start cell H₀, positions q in its frame and a symmetric logarithmic strain L,

    r = q exp(L),  H = H₀ exp(L)          (rows; q = r at the start)

so that a quasi-Newton method may add and compare moves and gradients of any two moments.
The cell's part of the vector is w L, w = √n Å for n atoms, which makes it about as stiff
as the atoms' part, as six numbers whose squares sum up to those of the matrix (Mandel's
notation). The gradients are

    dE/dq = -f exp(L),    dE/dL = ½ ∫ exp(-tL) V σ exp(tL) dt from -1 to 1

(the derivative of an exponential; S. Singh, arXiv:2008.02095). ASE's FrechetCellFilter
has the same coordinates with another weight.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gnndesign.batch import AtomicBatch
from gnndesign.members import per_atom, per_system, state_class

_ROOT = 0.5**0.5
MANDEL = torch.tensor(
    [
        [[1.0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1.0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 1.0]],
        [[0, 0, 0], [0, 0, _ROOT], [0, _ROOT, 0]],
        [[0, 0, _ROOT], [0, 0, 0], [_ROOT, 0, 0]],
        [[0, _ROOT, 0], [_ROOT, 0, 0], [0, 0, 0]],
    ],
    dtype=torch.float64,
)
"""(6, 3, 3) an orthonormal basis of the symmetric matrices."""


@state_class
class Vector:
    """A move, a gradient, or a place.

    Attributes:
        atoms: (n_atoms, 3) of the positions in the frame of the start cell.
        cell: (n_systems, 6) of the weighted logarithmic strain.
    """

    atoms: Float[Tensor, "n_atoms 3"] = per_atom()
    cell: Float[Tensor, "n_systems 6"] = per_system()

    def __add__(self, other: Vector) -> Vector:
        """The sum."""
        return Vector(atoms=self.atoms + other.atoms, cell=self.cell + other.cell)

    def __sub__(self, other: Vector) -> Vector:
        """The difference."""
        return Vector(atoms=self.atoms - other.atoms, cell=self.cell - other.cell)

    def scaled(self, batch: AtomicBatch, factor: Float[Tensor, " n_systems"]) -> Vector:
        """With a factor for each system."""
        return Vector(
            atoms=factor[batch.system_index, None] * self.atoms,
            cell=factor[:, None] * self.cell,
        )

    def dot(self, batch: AtomicBatch, other: Vector) -> Float[Tensor, " n_systems"]:
        """(n_systems,) the inner product."""
        of_atoms = batch.sum_over_atoms((self.atoms * other.atoms).sum(-1))
        return of_atoms + (self.cell * other.cell).sum(-1)

    def longest(self, batch: AtomicBatch) -> Float[Tensor, " n_systems"]:
        """(n_systems,) Å, length of the longest part: of an atom, or the cell's.

        The cell's is w L, but 2 L at least: that of few atoms is no softer.
        """
        of_atoms = batch.max_over_atoms(self.atoms.square().sum(-1))
        of_cell = self.cell.square().sum(-1)
        of_cell = of_cell * (2.0 / weight(batch)).clamp(min=1.0).square()
        return torch.maximum(of_atoms, of_cell).sqrt()


def weight(batch: AtomicBatch) -> Float[Tensor, " n_systems"]:
    """(n_systems,) Å, w."""
    return batch.atoms_per_system.to(batch.cell.dtype).sqrt()


def strain_of(
    batch: AtomicBatch, cell: Float[Tensor, "n_systems 6"]
) -> Float[Tensor, "n_systems 3 3"]:
    """(n_systems, 3, 3) L of the cell's part of a place."""
    basis = MANDEL.to(cell).flatten(1)
    return ((cell / weight(batch)[:, None]) @ basis).view(-1, 3, 3)


def cell_gradient(
    batch: AtomicBatch,
    strain: Float[Tensor, "n_systems 3 3"],
    virial: Float[Tensor, "n_systems 3 3"],
) -> Float[Tensor, "n_systems 6"]:
    """(n_systems, 6) dE/d(w L) for a symmetric V σ, in eV/Å.

    In the basis in which L is diagonal the integral multiplies V σ by sinh(x) / x, x
    the difference of two eigenvalues; here as its series in the commutator with L,
    which at x = 0.3 is good to 1e-9.
    """
    once = _twice_commuted(strain, virial)
    twice = _twice_commuted(strain, once)
    thrice = _twice_commuted(strain, twice)
    slope = virial + once / 6.0 + twice / 120.0 + thrice / 5040.0
    basis = MANDEL.to(virial).flatten(1)
    return slope.flatten(1) @ basis.T / weight(batch)[:, None]


def _twice_commuted(one: Tensor, other: Tensor) -> Tensor:
    """[A, [A, B]] of symmetric A and B."""
    product = one @ other
    commutator = product - product.mT
    product = one @ commutator
    return product + product.mT
