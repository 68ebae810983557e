"""The form of a property's parameters."""

from __future__ import annotations

from functools import partial

from gnndesign.properties.catalog import property_class
from gnndesign.properties.fields import fields_of
from gnndesign.properties.from_text import property_from_text
from gnndesign_widgets.parameter_form import ParameterForm
from gnndesign_widgets.properties import PropertiesModel


class PropertyForm(ParameterForm):
    """The parameters of one property; what is typed is text in the model's settings."""

    def __init__(self, model: PropertiesModel, kind: str) -> None:
        super().__init__(
            fields_of(property_class(kind)),
            model.settings.get(kind, {}),
            partial(model.set_text, kind),
            lambda: property_from_text(kind, model.settings[kind]),
        )
