"""What a run says of itself while it goes on: averages, RDF, MSD, VACF, with errors.

`Observables` takes the snapshots of a run one by one and holds what was asked for, of
every structure; `observe` takes the frames of a trajectory on disk. Memory does not
grow with the number of moments (but for logarithms of it).
"""

from gnndesign.simulation.observables.collection import (
    OBSERVABLES,
    Observables,
    observe,
)
from gnndesign.simulation.observables.results import ObservableResults, load_results

__all__ = [
    "OBSERVABLES",
    "ObservableResults",
    "Observables",
    "load_results",
    "observe",
]
