"""Many runs in one picture: a measure against what was varied, accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from ..errors import EqspikeError
from ..runs.protocol import LABEL
from ..settings import flat
from .drawing import lettering, new_figure

if TYPE_CHECKING:
    from ..runs.protocol import Drawing, Row, Sweep


def sweeps(drawings: Sequence[tuple[Sweep, Drawing, Sequence[Row]]]) -> Figure:
    """One figure of the drawings of one or more sweeps, side by side."""
    figure = new_figure(5.5 * len(drawings), 4)
    for axes, (protocol, drawing, rows) in zip(figure.subplots(1, len(drawings), squeeze=False)[0], drawings):
        title = f"{drawing.title or protocol.name} ({protocol.varies_from})"
        sweep(rows, drawing.x, drawing.y, axes).set_title(lettering(title), fontsize=11)
        if drawing.x_label:
            axes.set_xlabel(lettering(drawing.x_label))
    return figure


def sweep(rows: Sequence[Row], x: str, y: str, axes: Axes) -> Axes:
    """Mean and standard deviation over seeds of a measure, against a setting or against epochs, or a line for each label.

    Each further setting that varies makes a line of its own. Raises EqspikeError for a setting that the experiments do
    not have, and for a measure that their learner does not take.
    """
    try:
        finished = [row for row in rows if row.last(y)]
        if x == "epoch":
            _over_epochs(finished, y, axes)
        elif x == LABEL:
            _by_label(finished, y, axes)
        else:
            _against(finished, x, y, axes)
    except KeyError as error:
        raise EqspikeError(f"cannot draw {y} against {x}: the runs of this sweep have no {error.args[0]}") from None
    measured = y.replace("_", " ")
    axes.set(xlabel=measured) if x == LABEL else axes.set(xlabel=lettering(x), ylabel=measured)
    axes.grid(alpha=0.3)
    if any(str(container.get_label())[:1] != "_" for container in axes.containers):
        axes.legend(frameon=False)
    return axes


def _over_epochs(rows: Sequence[Row], y: str, axes: Axes) -> None:
    for row in rows:
        curves = [curve for point in row.points if (curve := point.measure(y))]
        _with_deviations(range(1, len(curves[0]) + 1), list(zip(*curves)), _words(row.values), axes)


def _by_label(rows: Sequence[Row], y: str, axes: Axes) -> None:
    """The labels one below the other."""
    labels = list(dict.fromkeys(row.values[LABEL] for row in rows))
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(_words({key: value for key, value in row.values.items() if key != LABEL}), []).append(row)
    for n, (label, line) in enumerate(lines.items()):
        places = [labels.index(row.values[LABEL]) + 0.2 * n for row in line]
        means, deviations = ([function(row.last(y)) for row in line] for function in (np.mean, np.std))
        axes.errorbar(means, places, xerr=deviations, fmt="o", markersize=4, capsize=3, label=label or "_")
    axes.set_yticks(range(len(labels)), [lettering(label) for label in labels], fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.invert_yaxis()


def _against(rows: Sequence[Row], x: str, y: str, axes: Axes) -> None:
    lines: dict[str, list[tuple[Any, list[float]]]] = {}
    values = [_value(row, x) for row in rows]
    one_line = len(set(map(str, values))) == len(rows)  # what else varies goes along with x
    for row, value in zip(rows, values):
        others = {} if one_line else {key: other for key, other in row.values.items() if key != x}
        lines.setdefault(_words(others), []).append((value, row.last(y)))
    for label, line in lines.items():
        _with_deviations([value for value, _ in line], [measured for _, measured in line], label, axes)
    if not all(isinstance(value, (int, float)) for value in values):
        axes.tick_params(axis="x", rotation=30)


def _value(row: Row, setting: str) -> Any:
    """What a setting is in the runs of a row, whether the protocol varies it there or not."""
    table = next(point.table for point in row.points if point.table is not None)
    return row.values[setting] if setting in row.values else flat(table)[setting]


@dataclass(frozen=True)
class Tradeoff:
    """What an accuracy costs."""

    label: str
    cost: float
    accuracy: float


def tradeoff(lines: Mapping[str, Sequence[Tradeoff]], cost: str, axes: Axes) -> Axes:
    """Accuracy against cost in joules, one line for each way of going cheaper."""
    for height, (name, line) in zip((6, -12) * len(lines), lines.items()):
        axes.plot([point.cost for point in line], [point.accuracy for point in line], "o-", label=lettering(name))
        for point in line:
            axes.annotate(
                lettering(point.label),
                (point.cost, point.accuracy),
                xytext=(3, height),
                textcoords="offset points",
                fontsize=8,
            )
    axes.set(ylabel="test accuracy")
    return over_joules(cost, axes)


def over_joules(label: str, axes: Axes) -> Axes:
    """Finish axes whose x are joules; without any, they have no logarithm."""
    axes.set_xlabel(label)
    if any(np.size(line.get_xdata()) for line in axes.lines):
        axes.set_xscale("log")
        axes.margins(0.08)
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axes.xaxis.set_major_formatter(EngFormatter("J"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    return axes


def cost_label(device: str, table: str, of: str = "per inference") -> str:
    """What an axis of estimated joules is called."""
    return f"energy {of}, {lettering(device)} by {lettering(table)} (J, estimated)"


def _with_deviations(places: Sequence[Any], measured: Sequence[Sequence[float]], label: str, axes: Axes) -> None:
    order = list(range(len(places)))
    if all(isinstance(place, (int, float)) for place in places):
        order.sort(key=lambda n: places[n])
    else:
        places = [lettering(place) for place in places]
    means, deviations = (np.array([function(measured[n]) for n in order]) for function in (np.mean, np.std))
    axes.errorbar(
        np.array([places[n] for n in order]), means, deviations, fmt="o-", markersize=4, capsize=3, label=label or "_"
    )


def _words(values: Mapping[str, object]) -> str:
    short = {key.split(".")[-1]: f"{value:.3g}" if isinstance(value, float) else value for key, value in values.items()}
    return ", ".join(lettering(f"{name} = {value}") for name, value in short.items())
