"""The potentials on offer: `load_potential(name)`, and the card of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import torch

from gnndesign.errors import CheckpointError, ParameterError
from gnndesign.potentials.base import Card, Potential
from gnndesign.potentials.file_format import SUFFIX, sha256
from gnndesign.potentials.files import read_card, read_potential
from gnndesign.potentials.lennard_jones import LennardJones
from gnndesign.potentials.weights import shipped

MPTRJ_ELEMENTS = tuple(number for number in range(1, 95) if not 84 <= number <= 88)
"""The 89 elements of MPtrj: hydrogen to plutonium without Po, At, Rn, Fr, Ra."""

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
_SEVENNET_NOTES: Mapping[str, tuple[str, ...]] = {
    "sevennet-0": (
        _SOFT,
        "Bulk modulus of Fe about half the reference.",
        _HANDED.format("0.1"),
        _MOLECULES,
    ),
    "sevennet-l3i5": (
        _SOFT,
        "Bulk modulus of Fe about half the reference.",
        "c axis of LiCoO2 too short: 13.5 Å against 14.05 Å.",
        _HANDED.format("0.3"),
        _MOLECULES,
    ),
}
"""Known weak spots of the potentials that ship with gnndesign."""

_CHECKPOINT_SUFFIXES = (".pth", ".pt")
"""Of SevenNet's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    card: Callable[[], Card]
    load: Callable[[Card, torch.device], Potential]


def _sevennet(name: str) -> _Offer:
    def card() -> Card:
        return replace(read_card(shipped(name)), name=name, notes=_SEVENNET_NOTES[name])

    def load(card: Card, device: torch.device) -> Potential:
        potential = read_potential(shipped(name), device)
        potential.card = card
        return potential

    return _Offer(card=card, load=load)


def _chgnet_card() -> Card:
    from gnndesign.potentials.adapters.chgnet import packaged_checkpoint

    return Card(
        name="chgnet",
        title="CHGNet 0.3.0",
        licence="modified BSD",
        level_of_theory="DFT, PBE and PBE+U (Materials Project settings), energies "
        "with MP2020 corrections",
        training_data="MPtrj: 1.58 million frames of Materials Project relaxations "
        "(2022)",
        n_parameters=412_525,
        elements=MPTRJ_ELEMENTS,
        cutoff=6.0,
        checksum=sha256(packaged_checkpoint()),
        citation="B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023)",
        notes=(_SOFT, _CORRECTED, _MOLECULES),
    )


def _load_chgnet(card: Card, device: torch.device) -> Potential:
    from gnndesign.potentials.adapters.chgnet import CHGNetPotential

    return CHGNetPotential(card, device)


_OFFERS: Mapping[str, _Offer] = {
    **{name: _sevennet(name) for name in _SEVENNET_NOTES},
    "chgnet": _Offer(card=_chgnet_card, load=_load_chgnet),
    "lennard-jones": _Offer(
        card=lambda: LennardJones().card,
        load=lambda card, device: LennardJones(device=device),  # noqa: ARG005
    ),
}


def list_potentials() -> tuple[str, ...]:
    """Names that `load_potential` takes, the recommended one first."""
    return tuple(_OFFERS)


def potential_card(name: str | Path) -> Card:
    """The card of a potential.

    Args:
        name: as `load_potential` takes it.

    Raises:
        ParameterError: no potential of this name.
        MissingDependencyError: the package with its weights is not installed.
        CheckpointError: a file that cannot be loaded.
    """
    path = _path(name)
    if path is None:
        return _offer(str(name)).card()
    if path.suffix == SUFFIX:
        from gnndesign.potentials.compound_files import read_any_card

        return read_any_card(path)
    return _load_file(path, torch.device("cpu")).card


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


def load_potential(
    name: str | Path, device: str | torch.device | None = None
) -> Potential:
    """A potential, from weights on this machine; no network is used.

    Args:
        name: see `list_potentials`; or a file: `.safetensors` as `save_potential`
            writes it, `.pth` or `.pt` as SevenNet does. What such a file does not say
            of itself, its card calls unknown.
        device: "cpu", "cuda", "cuda:1"; None takes CUDA where there is one.

    Raises:
        ParameterError: no potential of this name, or no such device.
        MissingDependencyError: the package with its weights, or of a part of a sum or
            committee, is not installed.
        CheckpointError: the file is damaged, of another family, or no checkpoint at
            all. Nothing in it has been run.
    """
    chosen = choose_device(device)
    path = _path(name)
    if path is not None:
        return _load_file(path, chosen)
    offer = _offer(str(name))
    return offer.load(offer.card(), chosen)


def _offer(name: str) -> _Offer:
    offer = _OFFERS.get(name)
    if offer is None:
        close = get_close_matches(name.lower(), list_potentials(), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ParameterError(
            f"Wanted one of {', '.join(list_potentials())}, or a file, got {name!r}."
            f"{hint}"
        )
    return offer


def _path(name: str | Path) -> Path | None:
    """The file that is meant, or None where a name of the catalog is."""
    path = Path(name)
    is_file_name = path.suffix in (SUFFIX, *_CHECKPOINT_SUFFIXES)
    is_path = isinstance(name, Path) or len(path.parts) > 1
    return path if is_file_name or is_path else None


def _load_file(path: Path, device: torch.device) -> Potential:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise CheckpointError(f"Wanted a file with a potential, {path} is {what}.")
    if path.suffix == SUFFIX:
        from gnndesign.potentials.compound_files import read_any

        return read_any(path, device)
    if path.suffix in _CHECKPOINT_SUFFIXES:
        from gnndesign.potentials.adapters.sevennet import load_sevennet

        return load_sevennet(path, device)
    raise CheckpointError(
        f"Wanted a potential in a file with {SUFFIX} (gnndesign), .pth or .pt "
        f"(SevenNet), got {path.name}."
    )
