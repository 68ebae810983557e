"""Small pieces that several panels share: the bar that runs a job, messages, forms."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import TypeVar

import ipywidgets as ipw
from traitlets import HasTraits, link

from gnndesign.errors import GNNDesignError
from gnndesign.jobs.store import JobState
from gnndesign_widgets.jobs import JobModel

FIELD = {"description_width": "150px"}
_COLORS = {
    JobState.FINISHED: "success",
    JobState.FAILED: "danger",
    JobState.INTERRUPTED: "warning",
    JobState.STOPPED: "warning",
}


class Message(ipw.HTML):
    """One sentence for the user: good news, or what to do."""

    def say(self, text: str) -> None:
        """Say something; an empty text removes the message."""
        self.value = f"<span>{html.escape(text)}</span>" if text else ""

    def refuse(self, text: str) -> None:
        """Say that something was not done, and why; an empty text removes the message."""
        self.value = (
            '<span style="color: var(--jp-error-color1, #c62828)">'
            f"{html.escape(text)}</span>"
            if text
            else ""
        )

    def attempt(self, action: Callable[[], str | None]) -> None:
        """Do something; its answer, or the reason of its failure, is the message."""
        try:
            answer = action()
        except (GNNDesignError, OSError) as error:
            self.refuse(str(error))
        else:
            self.say(answer or "")


Form = TypeVar("Form", bound=ipw.DOMWidget)
"""Any widget with a description and a value."""


def labeled(form: Form, width: str = "auto") -> Form:
    """A form field with its description as wide as those of the others."""
    form.set_trait("style", FIELD)
    form.layout.width = width
    return form


def field(model: HasTraits, trait: str, form: Form) -> Form:
    """A form field that shows and sets a trait of a model."""
    link((model, trait), (form, "value"))
    return labeled(form)


def button(text: str, action: Callable[[], None], **options: str) -> ipw.Button:
    """A button that calls `action` without arguments."""
    made = ipw.Button(description=text, **options)
    made.layout.width = "auto"
    made.layout.flex = "0 0 auto"

    def click(_button: object) -> None:
        action()

    made.on_click(click)
    return made


def heading(text: str) -> ipw.HTML:
    """A line above a group of controls."""
    return ipw.HTML(f"<b>{html.escape(text)}</b>")


def folded(title: str, form: ipw.Widget) -> ipw.Accordion:
    """A part of a form that is closed until it is wanted."""
    section = ipw.Accordion([form], titles=[title])
    section.selected_index = None
    return section


class RunBar(ipw.VBox):
    """Run, Stop, Pause, Resume, the progress, and a choice among earlier jobs.

    Args:
        job: what is followed.
        start: submits a job; raises a `GNNDesignError` to say why not.
        again: the wanted total of steps or trials when a job is resumed.
    """

    def __init__(
        self, job: JobModel, start: Callable[[], None], again: Callable[[], int]
    ) -> None:
        self._job = job
        self._start = start
        self._again = again
        self.run = button("Run", self._run, button_style="primary", icon="play")
        self.stop = button("Stop", job.request_stop, button_style="danger", icon="stop")
        self.pause = button("Pause", self._pause, icon="pause")
        self.resume = button("Resume", self._resume, icon="forward")
        self.progress = ipw.IntProgress(min=0, max=1)
        self.progress.layout.width = "auto"
        self.state = ipw.HTML()
        self.message = Message()
        self.choice = ipw.Dropdown(
            description="Job", style=FIELD, options=[("none", "")]
        )
        self.choice.layout.width = "auto"
        self._listing = False
        super().__init__(
            [
                ipw.HBox([self.run, self.stop, self.pause, self.resume]),
                self.progress,
                self.state,
                self.message,
                self.choice,
            ]
        )
        job.observe(self._show, ["state", "done", "total", "message", "job_id"])
        job.observe(self._list, "job_id")
        self.choice.observe(self._choose, "value")
        self._list()
        self._show()

    def _run(self) -> None:
        def start() -> None:
            self._start()

        self.message.attempt(start)

    def _pause(self) -> None:
        self._job.request_pause(pause=self._job.state != JobState.PAUSED)

    def _resume(self) -> None:
        def resume() -> None:
            wanted = self._again()
            self._job.resume(wanted if wanted > self._job.done else None)

        self.message.attempt(resume)

    def _show(self, _change: object = None) -> None:
        job = self._job
        self.run.disabled = job.active
        self.stop.disabled = self.pause.disabled = not job.active
        paused = job.state == JobState.PAUSED
        self.pause.description = "Continue" if paused else "Pause"
        self.resume.disabled = job.active or not job.job_id
        self.progress.max = max(job.total, 1)
        # A relaxation that has converged is complete, however few steps it took.
        whole = job.state == JobState.FINISHED
        self.progress.value = self.progress.max if whole else min(job.done, job.total)
        self.progress.bar_style = (
            _COLORS.get(JobState(job.state), "info") if job.state else ""
        )
        count = f"{job.done} of {job.total}" if job.total else ""
        words = " · ".join(part for part in (job.state, count, job.device) if part)
        said = html.escape(job.message)
        self.state.value = f"<b>{html.escape(words)}</b> {said}" if words else ""

    def _list(self, _change: object = None) -> None:
        self._listing = True
        stores = self._job.jobs()[:30]
        options = [
            (_job_title(store.job_id, store.spec.title), store.job_id)
            for store in stores
        ]
        self.choice.options = options or [("none yet", "")]
        if self._job.job_id in [value for _, value in self.choice.options]:
            self.choice.value = self._job.job_id
        self._listing = False

    def _choose(self, change: dict[str, str]) -> None:
        if self._listing or change["new"] == self._job.job_id:
            return
        for store in self._job.jobs():
            if store.job_id == change["new"]:
                self._job.attach(store)


def _job_title(job_id: str, title: str) -> str:
    date, time = job_id.split("-")[:2]
    return f"{date[6:]}.{date[4:6]}. {time[:2]}:{time[2:4]}:{time[4:]} {title}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table."""
    head = "".join(
        f"<th style='text-align:left;padding-right:1em'>{html.escape(c)}</th>"
        for c in columns
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td style='padding-right:1em'>{html.escape(c)}</td>" for c in row)
        + "</tr>"
        for row in rows
    )
    return f"<table style='line-height:1.4'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
