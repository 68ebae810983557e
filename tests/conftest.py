import os
import warnings
from contextlib import ExitStack
from pathlib import Path

# Threads that spin while they wait make a busy machine fifty times slower. Read by
# OpenMP when torch is first imported, hence above that import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Compiled kernels are kept from one run of the tests to the next.
os.environ.setdefault(
    "GNNDESIGN_CACHE", str(Path(__file__).parent.parent / "build" / "cache")
)

import pytest
import torch

from gnndesign.potentials.catalog import load_potential
from gnndesign.potentials.lennard_jones import LennardJones

torch.set_num_threads(1)


def prepared(name, dtype=torch.float32):
    """A potential in its fused form, so that no test sees two forms."""
    potential = load_potential(name, "cpu")
    potential.network.to(dtype)
    potential.kernel = "fused"
    potential.prepare(len)  # says nothing
    return potential


@pytest.fixture(scope="session")
def lennard_jones():
    """Argon, in float64 and with known answers."""
    return LennardJones()


@pytest.fixture(scope="session")
def sevennet_0():
    """SevenNet-0 as a user gets it."""
    return prepared("sevennet-0")


@pytest.fixture(scope="session")
def sevennet_l3i5():
    """SevenNet-l3i5 as a user gets it."""
    return prepared("sevennet-l3i5")


@pytest.fixture(scope="session")
def sevennet_0_float64():
    """SevenNet-0 with its weights raised to float64, for fine differences."""
    return prepared("sevennet-0", torch.float64)


@pytest.fixture(scope="session")
def sevennet_l3i5_float64():
    """SevenNet-l3i5 with its weights raised to float64, for fine differences."""
    return prepared("sevennet-l3i5", torch.float64)


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


@pytest.fixture(scope="session")
def postgresql_server():
    """The URL of a PostgreSQL server of its own."""
    from postgresql_server import UnavailableError, postgresql_server

    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgresql_server())
        except UnavailableError as error:
            pytest.skip(str(error))
        yield url


@pytest.fixture
def postgresql(postgresql_server):
    """The URL of an empty database on it."""
    import uuid

    import psycopg

    server = postgresql_server.replace("+psycopg", "")
    name = f"test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgresql_server.rpartition("/")[0] + f"/{name}"
