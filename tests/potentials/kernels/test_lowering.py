"""A lowered network is the network, folded into arrays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import own_potential

from gnndesign.batch import AtomicBatch
from gnndesign.errors import ParameterError
from gnndesign.neighbors import find_neighbors
from gnndesign.potentials.algebra import SCALAR, spherical_harmonics
from gnndesign.potentials.equivariant import EquivariantNetwork
from gnndesign.potentials.kernels.lowering import lower
from gnndesign.potentials.radial import XPLOREnvelope

SHAPES = {
    "scalars alone": {"hidden": ("3x0e", "5x0e"), "lmax": 0, "parity": False},
    "no parity": {
        "hidden": ("4x0e", "5x0e+3x1e+2x2e", "3x0e+1x1e", "3x0e"),
        "lmax": 2,
        "parity": False,
    },
    "parity": {
        "hidden": ("4x0e", "5x0e+3x1o", "3x0e+1x1e+2x1o", "3x0e+2x0o"),
        "lmax": 2,
        "parity": True,
    },
    "lmax 3, onset": {
        "hidden": ("3x0e", "2x0e+3x2e+1x3e", "5x0e"),
        "lmax": 3,
        "parity": False,
        "envelope": XPLOREnvelope(onset=3.0),
    },
}


def potential_of(name):
    potential = own_potential(self_connection="linear", **SHAPES[name])
    network = potential.network.double()
    torch.manual_seed(7)
    with torch.no_grad():
        # What is folded must not be one or zero.
        network.scale.uniform_(0.5, 2.0)
        network.shift.uniform_(-3.0, 3.0)
        for interaction in network.interactions:
            interaction.convolution.denominator.fill_(3.7)
    return potential


def atomic_energies(lowered, species, vectors, edges):
    """The definition of `LoweredNetwork`, in the order in which it is written down."""
    as_tensor = torch.from_numpy
    harmonics = spherical_harmonics(lowered.lmax, vectors)
    distances = vectors.norm(dim=1)
    gated = {}
    for layer in lowered.layers:
        if layer.species_input is not None:
            features = {SCALAR: as_tensor(layer.species_input)[species].unsqueeze(1)}
            mixed = {SCALAR: as_tensor(layer.species_kept)[species].unsqueeze(1)}
        else:
            features = {ir: gated[ir] @ as_tensor(m) for ir, m in layer.before.items()}
            mixed = {
                ir: gated[ir] @ as_tensor(m) for ir, m in layer.self_connection.items()
            }
        weights = layer.radial(distances)
        messages = {
            ir: torch.zeros(len(species), ir.dim, channels, dtype=torch.float64)
            for ir, channels in layer.middle.items()
        }
        for path in layer.paths:
            l = path.harmonic
            message = torch.einsum(
                "em,mki,eic,ec->ekc",
                harmonics[:, l**2 : (l + 1) ** 2],
                as_tensor(lowered.couplings[path.orders]),
                features[path.sender][edges.neighbors],
                weights[:, path.columns],
            )
            messages[path.receiver][..., path.place] += torch.zeros(
                len(species), *message.shape[1:], dtype=torch.float64
            ).index_add(0, edges.centers, message)
        for ir, matrix in layer.after.items():
            mixed[ir] = mixed.get(ir, 0.0) + messages[ir] @ as_tensor(matrix)
        gated = through_gate(layer.gate.after, mixed)
    energy = gated[SCALAR][:, 0] @ as_tensor(lowered.readout)
    return (
        energy * as_tensor(lowered.scale)[species] + as_tensor(lowered.shift)[species]
    )


def through_gate(after, features):
    """Bare silu and tanh; the gates are the last of the even scalars."""
    scalars = torch.nn.functional.silu(features[SCALAR])
    start, found = after[SCALAR], {}
    for ir, channels in after.items():
        if ir == SCALAR:
            found[ir] = scalars[..., :channels]
        elif ir.l == 0:
            found[ir] = torch.tanh(features[ir])
        else:
            found[ir] = features[ir] * scalars[..., start : start + channels]
            start += channels
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_the_arrays_have_the_energies_of_the_network(name):
    potential = potential_of(name)
    lowered = lower(potential.network, potential.parameters)
    generator = torch.Generator().manual_seed(5)
    batch = AtomicBatch(
        positions=3.0 * torch.rand(9, 3, dtype=torch.float64, generator=generator),
        cell=4.5 * torch.eye(3, dtype=torch.float64)[None],
        pbc=torch.ones(1, 3, dtype=torch.bool),
        atomic_numbers=torch.tensor([8, 22, 38] * 3),
        system_index=torch.zeros(9, dtype=torch.int64),
    )
    edges = find_neighbors(batch, potential.cutoff)
    species, vectors = potential.species(batch), edges.vectors(batch)
    expected = potential.network(species, vectors, edges)
    found = atomic_energies(lowered, species, vectors, edges)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_float32_weights_are_folded_in_float64():
    potential = own_potential(self_connection="linear")
    single = lower(potential.network, potential.parameters)
    potential.network.double()
    double = lower(potential.network, potential.parameters)
    for a, b in zip(single.layers, double.layers, strict=True):
        for ir, matrix in a.after.items():
            assert matrix.dtype == np.float64
            np.testing.assert_array_equal(matrix, b.after[ir])


def test_the_network_is_left_as_it_was_and_later_changes_are_not_seen():
    potential = own_potential(self_connection="linear")
    before = {k: v.clone() for k, v in potential.network.state_dict().items()}
    lowered = lower(potential.network, potential.parameters)
    after = potential.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    r = torch.linspace(1.0, 3.0, 7, dtype=torch.float64)
    readout, weights = lowered.readout.copy(), lowered.layers[0].radial(r)
    with torch.no_grad():
        for parameter in potential.network.parameters():
            parameter.add_(0.5)
    np.testing.assert_array_equal(lowered.readout, readout)
    assert torch.equal(lowered.layers[0].radial(r), weights)


def test_the_digest_is_that_of_weights_and_shape():
    potential = own_potential(self_connection="linear")
    network, parameters = potential.network, potential.parameters
    digest = lower(network, parameters).digest
    assert lower(network, parameters).digest == digest
    longer = replace(parameters, cutoff=4.1)
    assert lower(network, longer).digest != digest
    with torch.no_grad():
        network.embedding[0, 0] += 1e-3
    assert lower(network, parameters).digest != digest


def test_breaks_are_where_the_envelope_is_not_smooth():
    potential = potential_of("lmax 3, onset")
    assert lower(potential.network, potential.parameters).breaks == (3.0, 4.0)
    potential = potential_of("parity")
    assert lower(potential.network, potential.parameters).breaks == (4.0,)


def test_a_matrix_for_each_species_has_no_fused_form():
    parameters = own_potential(self_connection="species").parameters
    with pytest.raises(ParameterError, match=r"'linear', got 'species'"):
        lower(EquivariantNetwork(parameters), parameters)
