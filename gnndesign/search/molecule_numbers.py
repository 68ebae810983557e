"""Numbers that a surrogate model is told of a molecule, by RDKit."""

from __future__ import annotations

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors


def molecule_numbers(smiles: str) -> list[float]:
    """Numbers of a molecule.

    Args:
        smiles: that RDKit can read.

    Returns:
        Per heavy atom the polar surface area, logP and molar refractivity of Crippen,
        hydrogen bond donors and acceptors, rotatable bonds, rings, aromatic rings and
        Labute surface; the fraction of carbon that is sp3, and the formal charge.
    """
    molecule = Chem.MolFromSmiles(smiles)
    heavy = molecule.GetNumHeavyAtoms() or 1
    log_p, refractivity = rdMolDescriptors.CalcCrippenDescriptors(molecule)
    extensive = (
        rdMolDescriptors.CalcTPSA(molecule),
        log_p,
        refractivity,
        rdMolDescriptors.CalcNumHBD(molecule),
        rdMolDescriptors.CalcNumHBA(molecule),
        rdMolDescriptors.CalcNumRotatableBonds(molecule),
        rdMolDescriptors.CalcNumRings(molecule),
        rdMolDescriptors.CalcNumAromaticRings(molecule),
        rdMolDescriptors.CalcLabuteASA(molecule),
    )
    return [
        *(float(value) / heavy for value in extensive),
        float(rdMolDescriptors.CalcFractionCSP3(molecule)),
        float(Chem.GetFormalCharge(molecule)),
    ]
