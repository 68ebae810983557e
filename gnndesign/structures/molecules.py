"""Molecules from SMILES: a three-dimensional geometry by RDKit."""

from __future__ import annotations

import re
from typing import cast

import ase
import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from gnndesign.errors import ParameterError, StructureError


def from_smiles(smiles: str, seed: int = 0) -> ase.Atoms:
    """A molecule with hydrogen atoms, embedded and relaxed with a force field.

    Distance geometry with torsion preferences (ETKDGv3; Wang et al., J. Chem. Inf.
    Model. 60, 2044 (2020)), then MMFF94, or UFF where MMFF94 lacks parameters. One
    conformer, centered on the origin; a start for a relaxation, not its result. The
    same SMILES and seed give the same geometry.

    Args:
        smiles: one molecule, such as "CCO"; isotopes become masses.
        seed: of the embedding; another seed may give another conformer.

    Returns:
        Positions in Å, no cell; `info["smiles"]` is the canonical SMILES. A charge
        is in the initial charges, unpaired electrons in the initial magnetic moments.

    Raises:
        StructureError: not SMILES, against the rules of valence, several molecules,
            or no geometry found; with RDKit's reason.
        ParameterError: negative seed.
    """
    if seed < 0:
        raise ParameterError(f"The seed must be at least 0, got {seed}.")
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        parsed = cast("Chem.Mol | None", Chem.MolFromSmiles(smiles))
    if parsed is None or parsed.GetNumAtoms() == 0:
        reason = _reason(log.messages) or "it names no atoms"
        raise StructureError(
            f"Cannot read the SMILES '{smiles[:60]}': {reason}. Wanted one molecule, "
            "such as 'CCO' for ethanol."
        )
    if "." in smiles:
        raise StructureError(
            f"'{smiles[:60]}' holds several molecules (a dot parts them); build each "
            "with its own SMILES."
        )
    with rdBase.BlockLogs():
        mol = Chem.AddHs(parsed)
        _embed(mol, smiles, seed)
        _relax(mol)
    return _to_atoms(mol, Chem.MolToSmiles(parsed))


def _embed(mol: Chem.Mol, smiles: str, seed: int) -> None:
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    if rdDistGeom.EmbedMolecule(mol, parameters) == 0:
        return
    # Cages and macrocycles often succeed from random coordinates.
    parameters.useRandomCoords = True
    if rdDistGeom.EmbedMolecule(mol, parameters) != 0:
        raise StructureError(
            f"RDKit finds no three-dimensional geometry for '{smiles[:60]}'; the rings "
            "or the stereochemistry may be impossible."
        )


def _relax(mol: Chem.Mol) -> None:
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=2000)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=2000)


def _to_atoms(mol: Chem.Mol, smiles: str) -> ase.Atoms:
    rdkit_atoms = list(mol.GetAtoms())
    positions = np.array(mol.GetConformer().GetPositions(), dtype=float)
    atoms = ase.Atoms(
        numbers=[atom.GetAtomicNum() for atom in rdkit_atoms],
        positions=positions - positions.mean(axis=0),
        info={"smiles": smiles},
    )
    if any(atom.GetIsotope() for atom in rdkit_atoms):
        atoms.set_array("masses", np.array([atom.GetMass() for atom in rdkit_atoms]))
    charges = [float(atom.GetFormalCharge()) for atom in rdkit_atoms]
    if any(charges):
        atoms.set_initial_charges(charges)
    unpaired = [float(atom.GetNumRadicalElectrons()) for atom in rdkit_atoms]
    if any(unpaired):
        atoms.set_initial_magnetic_moments(unpaired)
    return atoms


def _reason(messages: str) -> str:
    """The first line of RDKit's log, without its time stamp."""
    lines = [line for line in messages.splitlines() if line.strip()]
    first = re.sub(r"^\[[\d:]+\]\s*", "", lines[0]) if lines else ""
    # "syntax error while parsing: C1CC(" repeats the SMILES; the second line says where.
    place = next((m for m in map(_POSITION.search, lines) if m), None)
    first = re.sub(r" while parsing:.*", "", first).removeprefix("SMILES Parse Error: ")
    return f"{first} near character {place.group(1)}" if place else first.strip()


_POSITION = re.compile(r"around position (\d+)")
