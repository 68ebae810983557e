"""How many pairs a potential will see, counted without torch."""

from __future__ import annotations

import ase
import numpy as np
from ase.geometry import complete_cell
from jaxtyping import Float

from gnndesign.errors import StructureError

_MOST_IMAGES = 1_000_000
"""Of one cell; with more the lattice vectors are no crystal's."""


def count_pairs(atoms: ase.Atoms, cutoff: float) -> int:
    """Directed pairs closer than `cutoff` (Å), through any number of periodic images.

    As many as `find_neighbors` finds, which needs torch.

    Raises:
        StructureError: periodic lattice vectors that span no volume, or no finite
            geometry.
    """
    from scipy.spatial import KDTree

    if len(atoms) == 0:
        return 0
    inside, images = _images(atoms, cutoff)
    found = KDTree(inside).count_neighbors(KDTree(images), cutoff)
    return int(found) - len(atoms)  # Not itself.


def _images(
    atoms: ase.Atoms, cutoff: float
) -> tuple[Float[np.ndarray, "n_atoms 3"], Float[np.ndarray, "n_images 3"]]:
    """Positions within the cell, and those of all images within reach of the cell."""
    pbc = np.asarray(atoms.pbc)
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise _unusable(atoms)
    cell = complete_cell(np.where(pbc[:, None], atoms.cell.array, 0.0))
    planes = np.linalg.pinv(cell)
    # In lattice vectors, how far the cutoff reaches.
    reach = np.where(pbc, cutoff * np.sqrt((planes * planes).sum(0)), 0.0)
    n_images = np.prod(2.0 * np.ceil(reach) + 1.0)
    if np.linalg.matrix_rank(cell) < 3 or n_images > _MOST_IMAGES:
        raise _unusable(atoms)
    places = atoms.positions @ planes
    places -= np.where(pbc, np.floor(places), 0.0)
    steps = [np.arange(-k, k + 1.0) for k in np.ceil(reach)]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 1, 3)
    images = (places + shifts).reshape(-1, 3)
    near = ((images >= -reach) & (images <= 1.0 + reach)) | ~pbc
    return places @ cell, images[near.all(1)] @ cell


def _unusable(atoms: ase.Atoms) -> StructureError:
    return StructureError(
        f"{atoms.get_chemical_formula()} has a geometry that is not finite, or periodic "
        "lattice vectors that span no volume. Set another cell or switch off pbc."
    )
