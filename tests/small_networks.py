"""Small networks for tests: of the `sevenn` package, and our own."""

import copy
import warnings

import ase
import torch

from gnndesign.potentials.base import Card
from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.equivariant import (
    EquivariantNetwork,
    EquivariantParameters,
    EquivariantPotential,
)
from gnndesign.potentials.radial import PolynomialEnvelope


def perovskite():
    atoms = ase.Atoms(
        "SrTiO3",
        scaled_positions=[
            [0, 0, 0],
            [0.5] * 3,
            [0.5, 0.5, 0],
            [0.5, 0, 0.5],
            [0, 0.5, 0.5],
        ],
        cell=[3.95] * 3,
        pbc=True,
    )
    atoms.rattle(0.1, seed=5)
    return atoms


def load_plain(name):
    """Load a potential that keeps to the network in torch."""
    potential = load_potential(name, "cpu")
    potential.kernel = "plain"
    return potential


def small_config(**changes):
    """The configuration of a small SevenNet, as the package would save it."""
    import sevenn
    from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG as DEFAULT

    return {
        **copy.deepcopy(DEFAULT),
        "version": sevenn.__version__,
        "_model_type": "E3_equivariant_model",
        "_type_map": {8: 0, 22: 1, 38: 2},
        "_number_of_species": 3,
        "chemical_species": ["O", "Ti", "Sr"],
        "cutoff": 4.0,
        "channel": 4,
        "lmax": 1,
        "is_parity": False,
        "num_convolution_layer": 2,
        "self_connection_type": "linear",
        "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 6},
        "cutoff_function": {
            "cutoff_function_name": "poly_cut",
            "poly_cut_p_value": 6,
        },
        "weight_nn_hidden_neurons": [8, 8],
        "conv_denominator": [3.0, 3.5, 2.0],
        "shift": -1.5,
        "scale": 1.7,
        "use_modality": False,
        **changes,
    }


def save_small_sevennet(path, **changes):
    """Save a SevenNet with random weights, made by the package itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.model_build import build_E3_equivariant_model

        torch.manual_seed(1)
        config = small_config(**changes)
        model = build_E3_equivariant_model(copy.deepcopy(config))
    content = {"config": config, "model_state_dict": model.state_dict(), "epoch": 1}
    torch.save(content, path)


PARAMETERS = EquivariantParameters(
    elements=(8, 22, 38),
    cutoff=4.0,
    hidden=("4x0e", "4x0e+3x1o", "5x0e"),
    lmax=1,
    parity=True,
    n_radial=5,
    radial_hidden=(7,),
    readout_hidden=3,
    envelope=PolynomialEnvelope(p=5),
    self_connection="species",
)


def own_potential(**changes):
    torch.manual_seed(2)
    fields = {name: getattr(PARAMETERS, name) for name in PARAMETERS.__slots__}
    parameters = EquivariantParameters(**(fields | changes))
    card = Card(
        name="own",
        title="Own",
        licence="MIT",
        level_of_theory="none",
        training_data="none",
        n_parameters=None,
        elements=parameters.elements,
        cutoff=parameters.cutoff,
        checksum="0",
        citation="none",
        notes=("Random.", "Zufällig."),
    )
    network = EquivariantNetwork(parameters)
    potential = EquivariantPotential(network, parameters, card, "cpu")
    potential.kernel = "plain"
    return potential
