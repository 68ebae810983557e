"""The potentials on offer: `load_potential(name)`, and the card of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import torch

from gnndesign.errors import ParameterError
from gnndesign.potentials.adapters import chgnet, sevennet
from gnndesign.potentials.base import Card, Potential
from gnndesign.potentials.lennard_jones import LennardJones

MPTRJ_ELEMENTS = tuple(number for number in range(1, 95) if not 84 <= number <= 88)
"""The 89 elements of MPtrj: hydrogen to plutonium without Po, At, Rn, Fr, Ra."""

_MPTRJ = "MPtrj: 1.58 million frames of Materials Project relaxations (2022)"
_PBE = "DFT, PBE and PBE+U (Materials Project settings)"
_SOFT = (
    "Trained on near-equilibrium frames, so it is soft: phonons, barriers and thermal "
    "conductivity come out low."
)
_MOLECULES = "Molecules have sane geometries but unvalidated energies: qualitative."
_CORRECTED = (
    "Its energies must not meet those of the SevenNets: it learned corrected ones."
)
_HANDED = (
    "Not mirror symmetric: the two hands of a chiral structure differ by about "
    "{} meV an atom."
)
_SEVENNET_PAPER = "Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    card: Card
    checkpoint: Callable[[], Path]
    load: Callable[[Path, Card, torch.device], Potential]


def _offer_sevennet(card: Card, file: str) -> _Offer:
    return _Offer(
        card=card,
        checkpoint=lambda: sevennet.packaged_checkpoint(file),
        load=sevennet.load_sevennet,
    )


_OFFERS: dict[str, _Offer] = {
    "sevennet-0": _offer_sevennet(
        Card(
            name="sevennet-0",
            title="SevenNet-0 (11 July 2024)",
            licence="MIT",
            level_of_theory=f"{_PBE}, energies without corrections",
            training_data=_MPTRJ,
            n_parameters=842_440,
            elements=MPTRJ_ELEMENTS,
            cutoff=5.0,
            checksum="",
            citation=_SEVENNET_PAPER,
            notes=(
                _SOFT,
                "Bulk modulus of Fe about half the reference.",
                _HANDED.format("0.1"),
                _MOLECULES,
            ),
        ),
        "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    ),
    "sevennet-l3i5": _offer_sevennet(
        Card(
            name="sevennet-l3i5",
            title="SevenNet-l3i5",
            licence="MIT",
            level_of_theory=f"{_PBE}, energies without corrections",
            training_data=_MPTRJ,
            n_parameters=1_171_144,
            elements=MPTRJ_ELEMENTS,
            cutoff=5.0,
            checksum="",
            citation=_SEVENNET_PAPER,
            notes=(
                _SOFT,
                "Bulk modulus of Fe about half the reference.",
                "c axis of LiCoO2 too short: 13.5 Å against 14.05 Å.",
                _HANDED.format("0.3"),
                _MOLECULES,
            ),
        ),
        "SevenNet_l3i5/checkpoint_l3i5.pth",
    ),
    "chgnet": _Offer(
        card=Card(
            name="chgnet",
            title="CHGNet 0.3.0",
            licence="modified BSD",
            level_of_theory=f"{_PBE}, energies with MP2020 corrections",
            training_data=_MPTRJ,
            n_parameters=412_525,
            elements=MPTRJ_ELEMENTS,
            cutoff=6.0,
            checksum="",
            citation="B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023)",
            notes=(_SOFT, _CORRECTED, _MOLECULES),
        ),
        checkpoint=chgnet.packaged_checkpoint,
        load=lambda path, card, device: chgnet.CHGNetPotential(card, device),  # noqa: ARG005
    ),
}


def list_potentials() -> tuple[str, ...]:
    """Names that `load_potential` takes, the recommended one first."""
    return (*_OFFERS, "lennard-jones")


def potential_card(name: str) -> Card:
    """The card of a potential, without loading it.

    Raises:
        ParameterError: no potential of this name.
        MissingDependencyError: the package with its weights is not installed.
    """
    if name == "lennard-jones":
        return LennardJones().card
    offer = _OFFERS.get(name)
    if offer is None:
        close = get_close_matches(name.lower(), list_potentials(), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ParameterError(
            f"Wanted one of {', '.join(list_potentials())}, got {name!r}.{hint}"
        )
    return replace(offer.card, checksum=_sha256(offer.checkpoint()))


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or CUDA where there is one, else the CPU.

    Raises:
        ParameterError: the device does not exist here.
    """
    available = torch.cuda.is_available()
    if device is None or str(device) == "auto":
        return torch.device("cuda" if available else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ParameterError(
            f"Wanted 'cpu', 'cuda' or 'cuda:N', got {device!r}."
        ) from error
    if chosen.type == "cuda" and (
        not available or (chosen.index or 0) >= torch.cuda.device_count()
    ):
        count = torch.cuda.device_count()
        raise ParameterError(
            f"Wanted device '{chosen}', but torch {torch.__version__} sees {count} "
            "CUDA devices. Choose 'cpu', or install a CUDA build of torch."
        )
    return chosen


def load_potential(name: str, device: str | torch.device | None = None) -> Potential:
    """A pretrained potential, from weights on this machine; no network is used.

    Args:
        name: see `list_potentials`.
        device: "cpu", "cuda", "cuda:1"; None takes CUDA where there is one.

    Raises:
        ParameterError: no potential of this name, or no such device.
        MissingDependencyError: the package with its weights is not installed.
    """
    chosen = choose_device(device)
    card = potential_card(name)
    if name == "lennard-jones":
        return LennardJones(device=chosen)
    offer = _OFFERS[name]
    return offer.load(offer.checkpoint(), card, chosen)


@lru_cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
