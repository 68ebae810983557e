"""Bounds of parameters: the same in the class, in its form and in what is typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import jaxtyping
import numpy as np
import pytest
from annotated_types import Gt, Interval

from gnndesign.errors import GNNDesignError, ParameterError
from gnndesign.properties.bounds import Count, bounds_of, check_bounds, words_of
from gnndesign.properties.catalog import PROPERTIES, property_class
from gnndesign.properties.fields import FieldKind, flat_fields
from gnndesign.properties.from_text import property_from_text
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.work import Relaxing

NONSENSE = (
    *("nan", "inf", "-inf", "1e400", "9" * 400, "abc", "{}", "[", "1,2", "null", ""),
    *('["a","b","c"]', "[[1,2],[3]]", '{"a":1}', "true", "a,b", "-1"),
)


@dataclass(frozen=True, kw_only=True)
class Some:
    share: Annotated[float, Gt(0), Interval(le=1)] = 0.5
    n: Count | None = None
    lengths: Sequence[Annotated[float, Interval(ge=1, lt=5)]] = ()
    shift: float = 0.0
    name: str = "some"
    grid: tuple[tuple[float, float], ...] = ()
    pair: tuple[int, str] = (1, "a")

    def __post_init__(self) -> None:
        check_bounds(self)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share": 0}, "Wanted share above 0, at most 1, got 0."),
        ({"share": 1.5}, "share above 0, at most 1"),
        ({"n": 0}, "n at least 1, got 0"),
        ({"n": 1.5}, "n at least 1, got 1.5"),
        ({"lengths": (2.0, 5.0)}, "lengths, every number, at least 1, below 5"),
        ({"lengths": np.array([0.5])}, "lengths, every number"),
        ({"lengths": "12"}, "lengths at least 1"),
        ({"shift": float("nan")}, "shift a finite number, got nan"),
        ({"shift": float("inf")}, "shift a finite number"),
        ({"shift": "0"}, "shift a finite number, got 0"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(wrong, words):
    with pytest.raises(ParameterError) as refusal:
        Some(**wrong)
    assert words in str(refusal.value)


def test_what_is_within_bounds_is_taken():
    Some(share=1, n=3, lengths=[1, 4.9], shift=-7)
    Some(share=np.float32(0.3), n=np.int64(2), lengths=np.array([2.0, 3.0]))
    assert set(bounds_of(Some)) == {"share", "n", "lengths", "shift"}


def test_the_form_of_a_parameter_knows_its_bounds():
    fields = flat_fields(Phonons)
    assert words_of(fields["displacement"].bounds) == "from 0.0001 to 0.2"
    assert fields["displacement"].tooltip == "Å. Wanted: from 0.0001 to 0.2."
    assert words_of(fields["relaxing.max_force"].bounds) == "above 0"
    assert fields["supercell"].bounds is None
    with pytest.raises(ParameterError, match=r"relaxing\.max_force above 0, got 0\.0"):
        fields["relaxing.max_force"].parse("0")
    with pytest.raises(ParameterError, match="max_force above 0, got 0"):
        Relaxing(max_force=0)


@pytest.mark.parametrize("kind", PROPERTIES)
def test_nonsense_is_refused_with_a_reason_wherever_it_is_typed(kind, monkeypatch):
    # As for a user, for whom nobody checks types.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for name, field in flat_fields(property_class(kind)).items():
        is_number = field.kind in (FieldKind.NUMBER, FieldKind.INTEGER)
        for text in NONSENSE:
            # Anything but one of our errors would end the test here.
            refused = reason(lambda f=field, t=text: f.parse(t))
            reason(lambda n=name, t=text: property_from_text(kind, {n: t}))
            may_be = text == "-1" or (field.optional and text == "")
            assert refused or may_be or not is_number, (name, text)


def reason(attempt):
    """Why something is refused; empty where it is not."""
    try:
        attempt()
    except (GNNDesignError, OSError) as refusal:
        return str(refusal)
    return ""
