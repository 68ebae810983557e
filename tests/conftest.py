import os
import warnings

# Threads that spin while they wait make a busy machine fifty times slower. Read by
# OpenMP when torch is first imported, hence above that import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.lennard_jones import LennardJones

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lennard_jones():
    """Argon, in float64 and with known answers."""
    return LennardJones()


@pytest.fixture(scope="session")
def sevennet_0():
    """SevenNet-0 as a user gets it."""
    return load_potential("sevennet-0", "cpu")


@pytest.fixture(scope="session")
def sevennet_l3i5():
    """SevenNet-l3i5 as a user gets it."""
    return load_potential("sevennet-l3i5", "cpu")


@pytest.fixture(scope="session")
def sevennet_0_float64():
    """SevenNet-0 with its weights raised to float64, for fine differences."""
    potential = load_potential("sevennet-0", "cpu")
    potential.network.double()
    return potential


@pytest.fixture(scope="session")
def sevennet_l3i5_float64():
    """SevenNet-l3i5 with its weights raised to float64, for fine differences."""
    potential = load_potential("sevennet-l3i5", "cpu")
    potential.network.double()
    return potential


@pytest.fixture(scope="session")
def chgnet():
    """CHGNet as a user gets it."""
    return load_potential("chgnet", "cpu")


@pytest.fixture(scope="session")
def sevenn_calculator():
    """The calculators of the package that SevenNet's weights come from, by our names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sevenn.calculator import SevenNetCalculator

        return {
            "sevennet-0": SevenNetCalculator("7net-0", device="cpu"),
            "sevennet-l3i5": SevenNetCalculator("7net-l3i5", device="cpu"),
        }
