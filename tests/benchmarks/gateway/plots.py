"""Plots of a run as SVG, each for light and for dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tests.benchmarks.gateway.results import CaseResult

INK = {"light": "#1f2328", "dark": "#e6edf3"}
_COLOURS = {"Bellwire": "#2f81f7", "nchan": "#3fa45b", "Socket.IO": "#c98a1b", "bare commit + Redis": "#8b949e"}
_RATES = {
    "ws_fanout": "WebSocket\nfan-out",
    "ws_burst": "WebSocket\nburst of 10",
    "sse_fanout": "SSE\nfan-out",
    "routing": "per-user\nrouting",
}
_PANELS = {
    "gateway-deliveries": "Deliveries per CPU-second of the server (more is better)",
    "gateway-memory": "Bytes of memory per idle connection (less is better)",
}

_LEGEND_COLUMNS = 3

Groups = dict[str, dict[str, float]]


def draw(cases: Sequence[CaseResult], folder: Path) -> list[str]:
    """Draw what there are figures for; returns the Markdown that shows it."""
    parts = []
    for name, groups in {"gateway-deliveries": _deliveries(cases), "gateway-memory": _memory(cases)}.items():
        if not groups:
            continue
        for theme, ink in INK.items():
            plot(groups, _PANELS[name], ink, _COLOURS).savefig(
                folder / f"{name}-{theme}.svg", transparent=True, metadata={"Date": None}
            )
        parts.append(shown(name, _PANELS[name]))
    return parts


def shown(name: str, title: str) -> str:
    """Return the Markdown that shows a plot."""
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">\n'
        f'  <img alt="{title}" src="{name}-light.svg">\n</picture>\n'
    )


def _deliveries(cases: Sequence[CaseResult]) -> Groups:
    return {
        _RATES[case.name]: {figure.system: figure.value for figure in case.figures if figure.plotted}
        for case in cases
        if case.name in _RATES
    }


def _memory(cases: Sequence[CaseResult]) -> Groups:
    groups: Groups = {}
    for case in cases:
        for figure in case.figures:
            if case.name == "memory" and figure.plotted:
                groups.setdefault("WebSocket" if "WebSocket" in figure.what else "SSE", {})[figure.system] = (
                    figure.value
                )
    return groups


def style(ink: str) -> dict[str, str]:
    """Return what all plots of a theme look like."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "bellwire",
        "font.family": "sans-serif",
        "text.color": ink,
        "axes.labelcolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "axes.edgecolor": ink,
    }


def plot(groups: Groups, title: str, ink: str, colours: Mapping[str, str]) -> Canvas:
    """Draw bars side by side in each group, each with its value above; `colours` has the systems in their order."""
    with mpl.rc_context(style(ink)):
        canvas = Canvas(figsize=(8, 4), layout="constrained")
        axes = canvas.subplots()
        systems = [system for system in colours if any(system in group for group in groups.values())]
        width = 0.8 / max(map(len, groups.values()))
        for system in systems:
            _bars(axes, groups, systems, system, width, colours[system])
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xticks(range(len(groups)), list(groups))
        axes.tick_params(length=0)
        axes.yaxis.set_visible(False)
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.margins(y=0.1)
        canvas.legend(frameon=False, ncols=min(len(systems), _LEGEND_COLUMNS), loc="outside lower center", fontsize=9)
        return canvas


def _bars(  # noqa: PLR0917 - one call, right above
    axes: Axes, groups: Groups, systems: Sequence[str], system: str, width: float, colour: str
) -> None:
    at = []
    for index, group in enumerate(groups.values()):
        here = [each for each in systems if each in group]  # each group is as wide as it has bars
        if system in here:
            at.append((index + (here.index(system) - (len(here) - 1) / 2) * width, group[system]))
    drawn = axes.bar([x for x, _ in at], [y for _, y in at], width * 0.92, label=system, color=colour)
    axes.bar_label(drawn, [_short(y) for _, y in at], padding=2, fontsize=8)


def _short(value: float) -> str:
    return f"{value / 1000:,.0f}k" if value >= 10_000 else f"{value:,.0f}"
