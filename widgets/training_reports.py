"""Reading what a training job has written, and using its potential."""

from __future__ import annotations

from functools import partial

from gnndesign.errors import JobError
from gnndesign.jobs.store import JobStore
from gnndesign.jobs.training import read_epochs, read_parity, trained_file
from gnndesign.plots.learning import learning_curves, parity_plots
from gnndesign.training.evaluation import Parity
from gnndesign.training.reports import EpochReport
from gnndesign_widgets.figures import Build
from gnndesign_widgets.potential import PotentialModel

CURVES, PARITY = "Learning curves", "Parity"


class ReportsReader:
    """The epochs of a job, and the parity of the best, read anew where it has changed.

    Attributes:
        history: reports of the epochs so far.
        parity: found and wanted values of the best epoch; None before the first.
    """

    def __init__(self) -> None:
        self.history: tuple[EpochReport, ...] = ()
        self.parity: Parity | None = None
        self._written = 0.0

    def read(self, store: JobStore | None) -> None:
        """Read what there is; nothing without a job."""
        if store is None:
            self.history, self.parity = (), None
            return
        self.history = tuple(read_epochs(store))
        file = store.folder / "parity.npz"
        written = file.stat().st_mtime if file.is_file() else 0.0
        if written != self._written or not written:
            self.parity = read_parity(store)
            self._written = written

    def builds(self) -> dict[str, Build]:
        """Figures of what there is."""
        found: dict[str, Build] = {}
        if self.history:
            found[CURVES] = partial(learning_curves, self.history)
        if self.parity is not None:
            found[PARITY] = partial(parity_plots, self.parity)
        return found


def best_of(history: tuple[EpochReport, ...]) -> EpochReport | None:
    """The report of the best epoch so far."""
    return next((report for report in reversed(history) if report.is_best), None)


def use_trained(
    store: JobStore | None,
    potential: PotentialModel,
    when: str,
    history: tuple[EpochReport, ...] = (),
) -> str:
    """Make the potential that a job has left that of the next job.

    Args:
        store: of the job; None without one.
        potential: takes it.
        when: how often one comes, such as "one comes every epoch".
        history: of the job, to say of which epoch it is.

    Raises:
        JobError: there is none yet.
        CheckpointError: its file is damaged.
    """
    if store is None or not trained_file(store).is_file():
        raise JobError(f"There is no trained potential yet; {when}.")
    said, best = potential.use(str(trained_file(store))), best_of(history)
    return said if best is None else f"{said[:-1]}, of epoch {best.epoch}."
