"""The power spectrum beside DScribe's, and networks of it."""

import numpy as np
import pytest
import torch
from salt import SALT

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.architectures import new_potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.conformance import CHECKS
from gnndesign.potentials.files import save_potential
from gnndesign.potentials.power_spectrum import gaussian_type_orbitals
from gnndesign.potentials.radial import PolynomialEnvelope
from gnndesign.potentials.soap import SOAPParameters

SMALL = {"n_max": 5, "l_max": 3, "cutoff": 4.5}


def batch_of(potential, structures):
    batch = AtomicBatch.from_atoms(structures)
    return batch, find_neighbors(batch, potential.cutoff)


def trained(dtype=torch.float64, **shape):
    """Random weights, standardised on the structures of the tests."""
    potential = new_potential("soap", ["Na", "Cl"], seed=4, **(SMALL | shape))
    potential.network.to(dtype)
    potential.calibrate([batch_of(potential, SALT)])
    return potential


def spectra_of(potential, structures):
    batch, edges = batch_of(potential, structures)
    shape = potential.parameters.power_spectrum
    coefficients = shape.coefficients(
        potential.species(batch), batch, edges, torch.float64
    )
    return shape.spectrum(coefficients).numpy()


def in_dscribe_order(spectra, elements, n_max, l_max):
    """Species pairs one after the other, by (n, n', l), pairs not weighted."""
    n = len(elements) * n_max
    a, b = np.triu_indices(n)
    full = np.zeros((len(spectra), l_max + 1, n, n))
    full[:, :, a, b] = spectra.reshape(len(spectra), l_max + 1, -1)
    full[:, :, a, b] /= np.where(a == b, 1.0, np.sqrt(2.0))
    blocks = []
    for s in range(len(elements)):
        for t in range(s, len(elements)):
            block = full[:, :, s * n_max : (s + 1) * n_max, t * n_max : (t + 1) * n_max]
            if s == t:
                block = block[:, :, *np.triu_indices(n_max)]
            blocks.append(block.reshape(len(spectra), -1))
    return np.concatenate(blocks, 1)


@pytest.mark.parametrize(("n_max", "l_max", "sigma"), [(4, 3, 0.5), (6, 6, 0.35)])
@pytest.mark.parametrize("atoms", SALT, ids=lambda atoms: str(atoms.symbols))
def test_the_power_spectrum_is_that_of_dscribe(atoms, n_max, l_max, sigma):
    from dscribe.descriptors import SOAP

    cutoff, elements = 4.8, ["Na", "Cl"]
    theirs = SOAP(
        species=elements,
        periodic=bool(atoms.pbc.any()),
        r_cut=cutoff,
        n_max=n_max,
        l_max=l_max,
        sigma=sigma,
        rbf="gto",
        weighting={"function": "poly", "r0": cutoff, "c": 1.0, "m": 2.0},
    )
    potential = new_potential(
        "soap",
        elements,
        cutoff=cutoff,
        n_max=n_max,
        l_max=l_max,
        sigma=sigma,
        cutoff_function="smoothstep",
        cutoff_power=2,
    )
    ours = in_dscribe_order(spectra_of(potential, atoms), elements, n_max, l_max)
    expected = theirs.create(atoms)
    assert expected.shape == ours.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9 * expected.max())


def test_the_cutoff_function_is_the_envelope_or_the_smoothstep():
    x = np.linspace(0, 1, 9)
    envelope = PolynomialEnvelope(p=5)(torch.tensor(5.0 * x), 5.0).numpy()
    for kind, power, expected in (
        ("envelope", 5, envelope),
        ("smoothstep", 2, (1 + 2 * x**3 - 3 * x**2) ** 2),
    ):
        shape = SOAPParameters(
            elements=(14,), cutoff_function=kind, cutoff_power=power
        ).power_spectrum
        np.testing.assert_allclose(shape.cutoff_polynomial(x), expected, atol=1e-13)
        for order in (1, 2):
            assert abs(shape.cutoff_polynomial.deriv(order)(1.0)) < 1e-11


@pytest.mark.parametrize("l", [0, 3, 6])
def test_radial_functions_are_orthonormal(l):
    alpha, beta = gaussian_type_orbitals(6, l, 5.0)
    r = np.linspace(0, 30, 30001)[:, None]
    orbitals = (r**l * np.exp(-alpha * r**2)) @ beta
    overlaps = np.einsum("ra,rb,r->ab", orbitals, orbitals, r[:, 0] ** 2) * 1e-3
    np.testing.assert_allclose(overlaps, np.eye(6), atol=1e-8)
    near = np.log(r[1001, 0]) * l - alpha[0] * r[1001, 0] ** 2
    assert np.exp(near) == pytest.approx(1e-3, rel=0.02)


def test_the_scalar_product_of_spectra_counts_every_pair():
    potential = trained()
    shape = potential.parameters.power_spectrum
    batch, edges = batch_of(potential, SALT)
    coefficients = shape.coefficients(
        potential.species(batch), batch, edges, torch.float64
    )
    spectra = shape.spectrum(coefficients)
    assert spectra.shape == (batch.n_atoms, shape.n_features)
    products = sum(
        torch.einsum("inm,ikm,jnp,jkp->ij", c, c, c, c) for c in coefficients
    )
    torch.testing.assert_close(spectra @ spectra.mT, products)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_soap_network_conforms(check, dtype):
    check(trained(dtype), SALT)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_soap_network_that_has_seen_no_data_conforms(check):
    check(new_potential("soap", ["Na", "Cl"], seed=1), SALT)


def test_a_saved_network_comes_back_with_its_standardisation(tmp_path):
    potential = trained(torch.float32)
    path = tmp_path / "salt.safetensors"
    save_potential(potential, path)
    again = load_potential(path, "cpu")
    before, after = potential.compute(SALT), again.compute(SALT)
    assert torch.equal(before.energy, after.energy)
    assert torch.equal(before.forces, after.forces)


def test_forces_can_be_trained():
    potential = trained()
    batch, edges = batch_of(potential, SALT)
    network = potential.network.requires_grad_()
    labels = potential.labels(batch, edges, with_strain=True)
    loss = labels.positions.square().sum() + labels.strain.square().sum()
    (gradient,) = torch.autograd.grad(loss, [network.networks.weights[0]])
    weight, step, values = network.networks.weights[0], 1e-5, []
    with torch.no_grad():
        direction = gradient / gradient.norm()
        for sign in (1, -1):
            weight += sign * step * direction
            moved = potential.labels(batch, edges, with_strain=True)
            values.append(moved.positions.square().sum() + moved.strain.square().sum())
            weight -= sign * step * direction
    slope = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(slope, gradient.norm(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elements": ()}, "elements"),
        ({"cutoff": 1.0}, "cutoff"),
        ({"n_max": 0}, "n_max"),
        ({"l_max": 12}, "l_max"),
        ({"sigma": -0.5}, "sigma above zero"),
        ({"cutoff_power": 1}, "cutoff function"),
        ({"hidden": (8, 0)}, "hidden"),
        ({"least_spread": 0.0}, "least spread"),
    ],
)
def test_a_shape_that_is_none_is_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        SOAPParameters(**({"elements": (14,)} | changes))
