"""Which networks can be made, and what can be chosen of each."""

from __future__ import annotations

from typing import Any

from traitlets import Float, HasTraits, Unicode, observe

from gnndesign.potentials.architectures import ARCHITECTURES
from gnndesign.properties.fields import Field, fields_of
from gnndesign.training.plan import BY_LEAST_SQUARES
from gnndesign_widgets.options import OptionsForm, OptionsModel

_FROM_THE_DATA = ("elements", "atomic_numbers")


def starts() -> list[tuple[str, str]]:
    """Architectures that can be trained: title and name."""
    return [
        (kind.title, name)
        for name, kind in ARCHITECTURES.items()
        if name != BY_LEAST_SQUARES
    ]


class NetworkModel(HasTraits):
    """A network to be made.

    Attributes:
        architecture: of `ARCHITECTURES`.
        cutoff: Å.
        shape: offers what else there is to choose of `architecture`.
    """

    architecture = Unicode("invariant")
    cutoff = Float(5.0)

    def __init__(self) -> None:
        super().__init__()
        self.shape = OptionsModel(_shape_fields(self.architecture))

    def shape_options(self) -> dict[str, Any]:
        """What is chosen of the network.

        Raises:
            ParameterError: what was typed is no value of its field.
        """
        return self.shape.values() | {"cutoff": self.cutoff}

    def check_shape(self) -> None:
        """Refuse what no network of this architecture has.

        Raises:
            ParameterError: says what.
        """
        kind = ARCHITECTURES[self.architecture]
        known = {field.name for field in fields_of(kind.chosen_class)}
        any_data = {name: (1,) for name in _FROM_THE_DATA if name in known}
        kind.shape(any_data.pop("elements"), {**any_data, **self.shape_options()})

    def shape_form(self) -> OptionsForm:
        """What a person sees of `shape`."""
        return OptionsForm(self.shape, self.check_shape)

    @observe("architecture")
    def _offer_shape(self, _change: object) -> None:
        self.shape.offer(_shape_fields(self.architecture))


def _shape_fields(architecture: str) -> tuple[Field, ...]:
    """What can be chosen of an architecture beside its cutoff."""
    own = fields_of(ARCHITECTURES[architecture].chosen_class)
    return tuple(f for f in own if f.name not in (*_FROM_THE_DATA, "cutoff"))
