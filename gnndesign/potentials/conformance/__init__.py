"""The promises every potential is asked for, as checks that a test runs.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_potential(check):
        check(MyPotential(), structures)

A check takes a potential and a few structures that it knows the elements of (best a
distorted crystal and a distorted molecule: where symmetry makes a force zero, nothing
is tested) and raises AssertionError when the promise is broken. What a potential lacks
it declares (`is_equivariant`, `is_mirror_symmetric`, `is_translation_invariant`,
`is_permutation_invariant`, `is_extensive`, `is_conservative`, `needs_neighbors`); the
check then asks that it be lacking, so that no declaration outlives its reason. Magnetic
moments are declared where they are there (`has_magnetic_moments`).
"""

from __future__ import annotations

from collections.abc import Callable

from gnndesign.potentials.base import Potential
from gnndesign.potentials.conformance.batches import (
    check_batch_equals_singles,
    check_edges_beyond_the_cutoff,
    check_input_is_kept,
    check_no_pull_between_structures,
    check_one_atom,
    check_prediction_is_whole,
)
from gnndesign.potentials.conformance.derivatives import (
    check_forces_are_the_gradient,
    check_smooth,
    check_stress_is_the_strain_derivative,
)
from gnndesign.potentials.conformance.symmetries import (
    check_extensivity,
    check_inversion,
    check_permutation,
    check_rotation,
    check_translation,
)
from gnndesign.potentials.conformance.tolerance import Structures

__all__ = [
    "CHECKS",
    "check_batch_equals_singles",
    "check_edges_beyond_the_cutoff",
    "check_extensivity",
    "check_forces_are_the_gradient",
    "check_input_is_kept",
    "check_inversion",
    "check_no_pull_between_structures",
    "check_one_atom",
    "check_permutation",
    "check_prediction_is_whole",
    "check_rotation",
    "check_smooth",
    "check_stress_is_the_strain_derivative",
    "check_translation",
]

CHECKS: tuple[Callable[[Potential, Structures], None], ...] = (
    check_prediction_is_whole,
    check_batch_equals_singles,
    check_permutation,
    check_translation,
    check_rotation,
    check_inversion,
    check_extensivity,
    check_forces_are_the_gradient,
    check_stress_is_the_strain_derivative,
    check_smooth,
    check_no_pull_between_structures,
    check_one_atom,
    check_input_is_kept,
    check_edges_beyond_the_cutoff,
)
"""All of them, in the order in which a failure is easiest to understand."""
