"""A plot of cost against size: what one publish to everybody takes, and one look into a full inbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tests.benchmarks.gateway import plots
from tests.benchmarks.gateway.results import CaseResult
from tests.benchmarks.publish.cases import audiences, inboxes

_NAME = "publish-scale"
_TITLE = "Milliseconds, median, against the number of users (flat is good)"
_PANELS = {
    "audiences": ("One publish to everybody", audiences.PLOTTED),
    "inboxes": ("A user with 10,000 own and 10,000 shared items", inboxes.PLOTTED),
}
_COLOURS = {"PostgreSQL": "#2f81f7", "SQLite": "#3fa45b"}
_MARKERS = "os^D"

Curve = Mapping[int, float]
"""Milliseconds by the number of users."""


def draw(cases: Sequence[CaseResult], folder: Path) -> list[str]:
    """Draw what there are figures for; returns the Markdown that shows it."""
    found = {case.name: case for case in cases if case.name in _PANELS}
    if not found:
        return []
    for theme, ink in plots.INK.items():
        with mpl.rc_context(plots.style(ink)):
            canvas = Canvas(figsize=(8, 4), layout="constrained")
            for axes, (name, case) in zip(canvas.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
                title, lines = _PANELS[name]
                _panel(axes, title, lines, case)
            canvas.legend(frameon=False, ncols=3, loc="outside lower center", fontsize=8)
            canvas.savefig(folder / f"{_NAME}-{theme}.svg", transparent=True, metadata={"Date": None})
    return [plots.shown(_NAME, _TITLE)]


def _panel(axes: Axes, title: str, lines: Sequence[str], case: CaseResult) -> None:
    for system, colour in _COLOURS.items():
        for line, marker in zip(lines, _MARKERS, strict=False):
            curve = _curve(case, system, line)
            [drawn] = axes.plot(
                list(curve), list(curve.values()), color=colour, marker=marker, label=f"{system}, {line}"
            )
            drawn.set(markersize=4, linewidth=1.2)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xscale("log")
    axes.set_xlabel("users", fontsize=9)
    axes.set_ylabel("ms", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _curve(case: CaseResult, system: str, line: str) -> Curve:
    """Find a line's medians: its figures say of how many users they are."""
    return {
        users: figure.value
        for figure in case.figures
        for users in [_users(figure.system)]
        if figure.system.startswith(f"{system},") and figure.what == f"{line}, p50"
    }


def _users(system: str) -> int:
    """Read the number of users out of what a figure is of."""
    return int("".join(letter for letter in system if letter.isdigit()))
