"""Our algebra of rotations is e3nn's, to the last digit."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from gnndesign.errors import ParameterError
from gnndesign.potentials.algebra import (
    SILU_FACTOR,
    TANH_FACTOR,
    Irrep,
    irreps,
    spherical_harmonics,
    wigner_3j,
)


@pytest.fixture(scope="module")
def o3():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from e3nn import o3
    return o3


@pytest.mark.parametrize(
    "orders",
    [
        (l1, l2, l3)
        for l1, l2 in itertools.product(range(5), repeat=2)
        for l3 in range(abs(l1 - l2), min(l1 + l2, 4) + 1)
    ],
)
def test_wigner_3j_is_that_of_e3nn(orders, o3):
    expected = o3.wigner_3j(*orders, dtype=torch.float64).numpy()
    np.testing.assert_allclose(wigner_3j(*orders), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("lmax", [0, 1, 3, 8, 11])
def test_spherical_harmonics_are_those_of_e3nn(lmax, o3):
    vectors = torch.randn(30, 3, generator=torch.manual_seed(1), dtype=torch.float64)
    expected = o3.spherical_harmonics(
        list(range(lmax + 1)), vectors, normalize=True, normalization="component"
    )
    found = spherical_harmonics(lmax, vectors)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_activations_have_the_factors_of_e3nn():
    from e3nn.math import normalize2mom

    assert normalize2mom(torch.nn.functional.silu).cst == pytest.approx(
        SILU_FACTOR, abs=1e-12
    )
    assert normalize2mom(torch.tanh).cst == pytest.approx(TANH_FACTOR, abs=1e-12)


def test_a_product_has_the_irreps_of_e3nn(o3):
    for a, b in itertools.product(["0e", "0o", "1o", "2e", "3e"], repeat=2):
        (_, left), (_, right) = irreps(a)[0], irreps(b)[0]
        expected = [str(ir) for ir in o3.Irrep(a) * o3.Irrep(b)]
        assert [str(ir) for ir in left * right] == expected


def test_irreps_are_read_in_their_order():
    assert irreps("8x1o + 0e+12x2e") == [
        (8, Irrep(1, -1)),
        (1, Irrep(0, 1)),
        (12, Irrep(2, 1)),
    ]


@pytest.mark.parametrize("text", ["", "8x1", "0x1e", "1e+", "-2x0e", "8y1e", "x1e"])
def test_what_is_no_irreps_is_refused(text):
    with pytest.raises(ParameterError, match=r"Wanted irreps such as '128x0e\+64x1o'"):
        irreps(text)
