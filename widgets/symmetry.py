"""The symmetry laboratory: change what means nothing, and see who notices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ase
from traitlets import (
    Bool,
    Dict,
    Enum,
    Float,
    HasTraits,
    Int,
    Tuple,
    Unicode,
    observe,
)

from gnndesign.errors import GNNDesignError, ParameterError
from gnndesign.plots.training import symmetry_audit
from gnndesign.plots.violations import plot_rotation_curves, plot_violations
from gnndesign.potentials.base import Potential
from gnndesign.potentials.catalog import load_potential
from gnndesign.structures.library import molecule
from gnndesign.structures.transformation import Transformation
from gnndesign.training.symmetry import Audit, AuditSettings, audit
from gnndesign.training.violations import (
    RotationCurve,
    Violation,
    rotation_curve,
    violation,
)
from gnndesign_widgets.background import Background, Done
from gnndesign_widgets.figures import Build, Figures
from gnndesign_widgets.structure import StructureModel
from gnndesign_widgets.trained import potential_label

SUBJECTS = {
    "Structure on the desk": "",
    "Benzene": "C6H6",
    "Ethanol": "CH3CH2OH",
    "Water": "H2O",
}
NOW, TURN, AUDIT = "Energy and forces", "A full turn", "Audit"

_CHANGES = ("axis", "angle", "shift", "mirrored", "cyclic", "first", "second")

_ATOMS_IN_A_TURN = 2500
"""Of all angles together, so that a curve comes in a second or so."""

_AUDIT = AuditSettings(nve_steps=200)


class _StoppedError(Exception):
    """Somebody has lost interest in an audit."""


class SymmetryModel(HasTraits):
    """A structure, a change of it, and what the potentials say.

    Attributes:
        subject: a value of `SUBJECTS`.
        rattle: Å, by which atoms are displaced at random first; where symmetry makes a
            force zero there is nothing to see.
        names: potentials, as `load_potential` takes them.
        axis, angle, shift, mirrored, cyclic: see `Transformation`.
        first, second: atoms that change places; the same for none.
        found: by potential, a `Violation`, or why there is none.
        curves: by potential, a `RotationCurve`.
        audits: an `Audit` of each potential.
        said: what is going on, or why nothing is.
        auditing: whether an audit is under way.
        progress: what the audit has measured last.
        figures: for the stage.
    """

    subject = Enum(list(SUBJECTS.values()), default_value="C6H6")
    rattle = Float(0.05)
    names: tuple[str, ...] = Tuple(("sevennet-0",))  # pyright: ignore[reportAssignmentType]
    axis = Enum(("x", "y", "z"), default_value="z")
    angle = Float(0.0)
    shift = Float(0.0)
    mirrored = Bool(default_value=False)
    cyclic = Int(0)
    first = Int(0)
    second = Int(0)
    found: dict[str, Violation | str] = Dict()  # pyright: ignore[reportAssignmentType]
    curves: dict[str, RotationCurve] = Dict()  # pyright: ignore[reportAssignmentType]
    audits: tuple[Audit, ...] = Tuple()  # pyright: ignore[reportAssignmentType]
    said = Unicode("")
    auditing = Bool(default_value=False)
    progress = Unicode("")

    def __init__(self, structure: StructureModel) -> None:
        super().__init__()
        self._structure = structure
        self._background, self._auditor = Background(), Background()
        self._loaded: dict[tuple[str, float], Potential] = {}
        self._turned: dict[
            str, tuple[Potential, tuple[ase.Atoms, str], RotationCurve]
        ] = {}
        self._awake = self._stopping = False
        self.figures = Figures(title="Symmetry laboratory")
        structure.observe(self._desk_changed, "revision")

    def wake(self) -> None:
        """Begin to compute; nothing is computed before somebody looks."""
        self._awake = True
        self._refresh()

    @property
    def transformation(self) -> Transformation:
        """The change as it is set now."""
        swapped = None if self.first == self.second else (self.first, self.second)
        return Transformation(
            axis=self.axis,
            angle=self.angle,
            shift=self.shift,
            mirrored=self.mirrored,
            cyclic=self.cyclic,
            swapped=swapped,
        )

    def atoms(self) -> ase.Atoms:
        """The structure before the change.

        Raises:
            StructureError: there is none on the desk.
        """
        if self.subject:
            atoms = molecule(self.subject)
        else:
            atoms = self._structure.current.atoms.copy()
        atoms.set_constraint()
        if self.rattle > 0:
            atoms.rattle(self.rattle, seed=0)
        return atoms

    def reset(self) -> None:
        """Back to no change."""
        with self.hold_trait_notifications():
            self.angle = self.shift = 0.0
            self.mirrored, self.cyclic, self.first, self.second = False, 0, 0, 0

    def start_audit(self) -> None:
        """Audit all potentials in the background.

        Raises:
            StructureError: there is no structure on the desk.
            ParameterError: no potential is chosen.
        """
        if not self.names:
            raise ParameterError("Wanted a potential or more to audit; choose some.")
        atoms, names = self.atoms(), self.names
        self._stopping = False
        self.auditing, self.progress = True, "Begun."
        self._auditor.ask(partial(self._audit, atoms, names))

    def stop_audit(self) -> None:
        """Let an audit end after the measurement that is under way."""
        self.progress = "Stopping after this measurement."
        self._stopping = True

    def _desk_changed(self, _change: object) -> None:
        if not self.subject:
            self._refresh()

    @observe("found", "curves", "audits")
    def _offer(self, _change: object = None) -> None:
        builds: dict[str, Build] = {}
        found = {
            potential_label(name): one
            for name, one in self.found.items()
            if isinstance(one, Violation)
        }
        if found:
            builds[NOW] = partial(plot_violations, found)
        if self.curves:
            curves = {potential_label(n): curve for n, curve in self.curves.items()}
            builds[TURN] = partial(plot_rotation_curves, curves, self.angle)
        if self.audits:
            builds[AUDIT] = partial(symmetry_audit, self.audits)
        self.figures.builds = builds

    @observe("subject", "rattle", "names", *_CHANGES)
    def _refresh(self, _change: object = None) -> None:
        if not self._awake:
            return
        try:
            atoms, change = self.atoms(), self.transformation
            changed = change.apply(atoms)
        except GNNDesignError as error:
            self._background.forget()
            self.said = str(error)
            return
        self.figures.atoms = changed
        self.said = ""
        self._background.ask(partial(self._compare, atoms, change, self.names))

    def _compare(
        self, atoms: ase.Atoms, change: Transformation, names: tuple[str, ...]
    ) -> Done:
        """Energy and forces of all potentials, before and after; then the full turn."""
        found: dict[str, Violation | str] = {
            name: self._asked(name, partial(violation, atoms=atoms, change=change))
            for name in names
        }

        def done() -> None:
            self.found = found
            self.said = ""
            self._background.ask(partial(self._turn, atoms, change.axis, names))

        return done

    def _turn(self, atoms: ase.Atoms, axis: str, names: tuple[str, ...]) -> Done:
        n_angles = min(37, _ATOMS_IN_A_TURN // max(len(atoms), 1))
        curves: dict[str, RotationCurve] = {}
        for name in names if n_angles > 4 else ():
            question = partial(self._curve, name, atoms, axis, n_angles)
            curve = self._asked(name, question)
            if isinstance(curve, RotationCurve):
                curves[name] = curve

        def done() -> None:
            self.curves = curves

        return done

    def _curve(
        self, name: str, atoms: ase.Atoms, axis: str, n: int, potential: Potential
    ) -> RotationCurve:
        """Of the same potential, structure and axis it is computed once."""
        known = self._turned.get(name)
        if known is not None and known[0] is potential and known[1] == (atoms, axis):
            return known[2]
        curve = rotation_curve(potential, atoms, axis=axis, n_angles=n)
        self._turned[name] = potential, (atoms, axis), curve
        return curve

    def _asked(self, name: str, question: Callable[[Potential], Any]) -> Any:
        """An answer, or why there is none."""
        try:
            return question(self._potential(name))
        except (GNNDesignError, OSError) as error:
            return str(error)

    def _potential(self, name: str) -> Potential:
        """Loaded once, and again when its file was written anew."""
        file = Path(name)
        key = name, file.stat().st_mtime if file.is_file() else 0.0
        if key not in self._loaded:
            self.said = f"Loading {potential_label(name)}."
            self._loaded[key] = load_potential(name)
            self.said = ""
        return self._loaded[key]

    def _audit(self, atoms: ase.Atoms, names: tuple[str, ...]) -> Done:
        audits: list[Audit] = []
        said = ""
        try:
            for name in names:
                label = potential_label(name)
                say = partial(self._measured, label)
                made = audit(self._potential(name), [atoms], settings=_AUDIT, say=say)
                audits.append(replace(made, potential=label))
        except _StoppedError:
            said = "Stopped."
        except (GNNDesignError, OSError) as error:
            said = str(error)

        def done() -> None:
            self.progress = said or _verdicts(audits)
            self.audits = tuple(audits)
            if audits:
                self.figures.shown = AUDIT
            self.auditing = False

        return done

    def _measured(self, name: str, sentence: str) -> None:
        if self._stopping:
            raise _StoppedError
        self.progress = f"{name}: {sentence}"


def _verdicts(audits: list[Audit]) -> str:
    failed = {
        one.potential: [row.name for row in one.rows if row.passed is False]
        for one in audits
    }
    return " ".join(
        f"{name}: {'failed ' + ', '.join(rows) if rows else 'passed all'}."
        for name, rows in failed.items()
    )
