"""Molecules from a list, or from a core and the groups that it can carry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, cast

import ase
import numpy as np
from jaxtyping import Float
from numpy import ndarray
from rdkit import Chem, rdBase

from gnndesign.errors import ParameterError, StructureError
from gnndesign.search.features import standardized
from gnndesign.search.filters import Filter, checked_filters, none_left, sift
from gnndesign.search.ingredients import Ingredients
from gnndesign.search.molecule_numbers import molecule_numbers
from gnndesign.search.pool import Pool
from gnndesign.search.space import Candidate, Space, set_fields
from gnndesign.structures.molecules import from_smiles

MOST_MOLECULES = 200_000
"""A space with more combinations than this is refused: each molecule is written down."""

SAME_MOLECULE = "the same molecule"
"""What `removed` calls combinations that make a molecule that is there already."""

_LIST = "molecule"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoleculeSpace(Space):
    """Molecules as SMILES, listed or put together from fragments.

    Listed, there is one parameter, "molecule", whose options are the canonical SMILES. From
    fragments, the parameters are "core" and "R1", "R2", ...: a core has an attachment point
    [*:1], [*:2], ... for each group, and a group has one, written * : the core
    "c1cc([*:1])ccc1[*:2]" with "*C" and "*F" makes fluorotoluene. Of combinations that make
    the same molecule the first is listed. A candidate's structure is that of
    `gnndesign.structures.molecules.from_smiles`; its formula is its canonical SMILES.

    Attributes:
        smiles: molecules; empty for fragments.
        cores: SMILES with the same attachment points.
        groups: for each attachment point, "R1" for [*:1], SMILES with one.
        seed: of the geometry.
        filters: what to leave out, in the order in which to apply it; their oxidation
            states, prices and so on are those of the atoms, hydrogen among them.

    Raises:
        ParameterError: neither molecules nor fragments, or both, attachment points that do
            not match, more than 200,000 combinations, or no candidate left.
        StructureError: not SMILES.
    """

    smiles: Sequence[str] = ()
    cores: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] = field(
        default_factory=dict[str, Sequence[str]]
    )
    seed: int = 0
    filters: Sequence[Filter | Mapping[str, Any]] = ()
    canonical: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _pool: Pool = field(init=False, repr=False, compare=False)
    _removed: Mapping[str, int] = field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "molecule"

    def __post_init__(self) -> None:
        rules = checked_filters(self.filters)
        set_fields(
            self,
            smiles=tuple(self.smiles),
            cores=tuple(self.cores),
            groups=dict(sorted((name, tuple(g)) for name, g in self.groups.items())),
            filters=rules,
        )
        _check(self)
        found: dict[str, tuple[int, ...]] = {}
        for choice, molecule in _molecules(self):
            found.setdefault(Chem.MolToSmiles(molecule), choice)
        compositions = [_composition(smiles) for smiles in found]
        ingredients, places = _table(compositions)
        rows, removed = sift(rules, ingredients, places)
        removed = {SAME_MOLECULE: self.n_combinations - len(found), **removed}
        if not len(rows):
            raise ParameterError(none_left(self.n_combinations, removed))
        canonical = np.array(list(found), dtype=object)[rows]
        table = np.array(list(found.values()))[rows]
        options = {"core": tuple(self.cores)}
        options |= {name: tuple(group) for name, group in self.groups.items()}
        if self.smiles:
            options = {_LIST: tuple(canonical)}
            table = np.arange(len(rows))[:, None]
        set_fields(
            self,
            canonical=tuple(canonical),
            _removed=MappingProxyType(removed),
            _pool=Pool(options=options, places=table.astype(np.uint16)),
        )

    @property
    def pool(self) -> Pool:
        """The candidates, as molecules or as cores and groups."""
        return self._pool

    @property
    def n_combinations(self) -> int:
        """Number of molecules listed, or of ways to put fragments together."""
        if self.smiles:
            return len(self.smiles)
        return len(self.cores) * math.prod(len(g) for g in self.groups.values())

    @property
    def removed(self) -> Mapping[str, int]:
        """How many make a molecule that is there already, then what filters left out."""
        return self._removed

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur in a candidate, in alphabetical order."""
        return tuple(
            sorted({s for smiles in self.canonical for s in _composition(smiles)})
        )

    def candidate(self, index: int) -> Candidate:
        """The candidate at a place of the pool."""
        smiles = self.canonical[index]
        return Candidate(
            formula=smiles,
            choices=MappingProxyType(self.pool.choices(index)),
            composition=MappingProxyType(_composition(smiles)),
        )

    def build(self, candidate: Candidate) -> ase.Atoms:
        """The molecule in three dimensions, without a cell.

        Raises:
            StructureError: no geometry is found.
        """
        return from_smiles(candidate.formula, seed=self.seed)

    def features(self) -> Float[ndarray, "n_candidates n_features"]:
        """Numbers about the molecules, every column with mean 0 and deviation 1.

        Fractions of the elements, the logarithm of the number of atoms, and
        `molecule_numbers`.
        """
        ingredients, places = _table([_composition(s) for s in self.canonical])
        amounts = ingredients.compositions(places)
        n_atoms = amounts.sum(1, keepdims=True)
        numbers = np.array([molecule_numbers(smiles) for smiles in self.canonical])
        return standardized(
            np.concatenate([amounts / n_atoms, np.log(n_atoms), numbers], axis=1)
        )

    def to_dict(self) -> dict[str, Any]:
        """What defines the space, as JSON would have it."""
        return {
            "kind": self.kind,
            "smiles": list(self.smiles),
            "cores": list(self.cores),
            "groups": {name: list(group) for name, group in self.groups.items()},
            "seed": self.seed,
            "filters": [rule.to_dict() for rule in checked_filters(self.filters)],
        }


def _check(space: MoleculeSpace) -> None:
    """There is something to choose from, and not too much.

    Raises:
        ParameterError: there is not.
    """
    if bool(space.smiles) == bool(space.cores or space.groups):
        raise ParameterError("Wanted either smiles, or cores with groups.")
    if space.n_combinations > MOST_MOLECULES or len(space.smiles) > 65_535:
        raise ParameterError(
            f"{space.n_combinations:,} molecules are too many to write down; wanted at "
            f"most {MOST_MOLECULES:,} from fragments, or 65,535 in a list."
        )
    for name, options in {"core": space.cores, **space.groups}.items():
        if not space.smiles and len(set(options)) < max(len(options), 1):
            raise ParameterError(f"Wanted different SMILES for {name}, got {options}.")
    _check_fragments(space)


def _check_fragments(space: MoleculeSpace) -> None:
    """Cores and groups fit together.

    Raises:
        ParameterError: they do not.
    """
    names = {f"R{number}" for number in range(1, len(space.groups) + 1)}
    if {*space.groups} != names:
        raise ParameterError(
            f"Wanted groups for R1, R2, ... without gaps, got {', '.join(space.groups)}."
        )
    for core in space.cores:
        if sorted(f"R{n}" for n in _attachments(_parse(core))) != sorted(names):
            raise ParameterError(
                f"The core '{core}' wants one attachment point for each of "
                f"{', '.join(space.groups)}, such as [*:1] for R1."
            )
    for name, group in space.groups.items():
        for smiles in group:
            if len(_attachments(_parse(smiles))) != 1:
                raise ParameterError(
                    f"'{smiles}' of {name} wants one attachment point, such as '*C'."
                )


def _molecules(space: MoleculeSpace) -> Iterator[tuple[tuple[int, ...], Chem.Mol]]:
    """Molecules with their choices, places in the options."""
    if space.smiles:
        for place, smiles in enumerate(space.smiles):
            molecule = _parse(smiles)
            if _attachments(molecule):
                raise ParameterError(f"'{smiles}' has an open attachment point.")
            yield (place,), molecule
        return
    numbered = [
        [_numbered(smiles, number) for smiles in group]
        for number, group in enumerate(space.groups.values(), start=1)
    ]
    cores = [_parse(core) for core in space.cores]
    for choice in itertools.product(
        range(len(cores)), *(range(len(g)) for g in numbered)
    ):
        joined = cores[choice[0]]
        for group, place in zip(numbered, choice[1:], strict=True):
            joined = Chem.CombineMols(joined, group[place])
        with rdBase.BlockLogs():
            molecule = Chem.molzip(joined)
            try:
                Chem.SanitizeMol(molecule)
            except Chem.MolSanitizeException as error:
                raise StructureError(
                    f"'{Chem.MolToSmiles(molecule)}' is no molecule: {error}"
                ) from error
        yield choice, molecule


def _parse(smiles: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        parsed = cast("Chem.Mol | None", Chem.MolFromSmiles(smiles))
    if parsed is None or parsed.GetNumAtoms() == 0:
        raise StructureError(
            f"Cannot read the SMILES '{smiles[:60]}'. Wanted a molecule, such as 'CCO'."
        )
    return parsed


def _attachments(molecule: Chem.Mol) -> list[int]:
    """Numbers of the attachment points."""
    atoms: list[Chem.Atom] = list(molecule.GetAtoms())
    return [atom.GetAtomMapNum() for atom in atoms if atom.GetAtomicNum() == 0]


def _numbered(smiles: str, number: int) -> Chem.Mol:
    """A group whose attachment point has a number."""
    molecule = _parse(smiles)
    for atom in list(molecule.GetAtoms()):
        if atom.GetAtomicNum() == 0:
            atom.SetAtomMapNum(number)
    return molecule


def _composition(smiles: str) -> dict[str, int]:
    """Atoms by chemical symbol, hydrogen too, in alphabetical order."""
    numbers: dict[str, int] = {}
    for atom in list(_parse(smiles).GetAtoms()):
        numbers[atom.GetSymbol()] = numbers.get(atom.GetSymbol(), 0) + 1
        n_hydrogen = int(atom.GetTotalNumHs())
        if n_hydrogen:
            numbers["H"] = numbers.get("H", 0) + n_hydrogen
    return dict(sorted(numbers.items()))


def _table(compositions: Sequence[Mapping[str, int]]) -> tuple[Ingredients, ndarray]:
    elements = sorted({symbol for c in compositions for symbol in c})
    amounts = np.array([[c.get(s, 0) for s in elements] for c in compositions], float)
    return Ingredients.of_compositions(elements, amounts)
