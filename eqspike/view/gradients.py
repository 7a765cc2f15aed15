"""Pictures of a map of comparisons with the gradient: a line over one setting, a heat map over two.

Each drawing takes what it shows and the axes to draw on, and gives the axes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..errors import EqspikeError
from ..gradients.maps import Point
from ..output import rounded
from .drawing import lettering, new_figure

MEASURES = {"cosine": "mean over samples: bias", "batch_cosine": "one batch: bias and noise"}


def figure(points: Sequence[Point], over: Mapping[str, Sequence[Any]]) -> Figure:
    """A panel for each weight matrix. Raises EqspikeError for a map over neither one nor two settings."""
    if len(over) not in (1, 2):
        raise EqspikeError(f"a map over {len(over)} settings cannot be drawn: vary one or two")
    names = next([matrix.name for matrix in point.matrices] for point in points if point.matrices)
    drawn = new_figure(4.8 * len(names), 4.2)
    for n, axes in enumerate(drawn.subplots(1, len(names), squeeze=False)[0]):
        tables = {measure: table(points, over, n, measure) for measure in MEASURES}
        (line if len(over) == 1 else heat)(tables, over, axes).set_title(names[n])
    return drawn


def table(points: Sequence[Point], over: Mapping[str, Sequence[Any]], matrix: int, measure: str) -> NDArray[np.float64]:
    """A measure of one matrix, an axis for each setting; not a number where a combination failed."""
    values = [getattr(point.matrices[matrix], measure) if point.matrices else np.nan for point in points]
    return np.array(values, np.float64).reshape([len(values) for values in over.values()])


def line(tables: Mapping[str, NDArray[np.float64]], over: Mapping[str, Sequence[Any]], axes: Axes) -> Axes:
    """The cosines against one setting."""
    ((key, values),) = over.items()
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    places = list(values) if numbers else list(range(len(values)))
    for measure, style in zip(MEASURES, ("o-", "s--"), strict=True):
        axes.plot(places, tables[measure], style, markersize=4, label=MEASURES[measure])
    if not numbers:
        axes.set_xticks(places, [lettering(value) for value in values])
    drawn = np.concatenate([*tables.values()])
    lowest = np.min(drawn, initial=0.0, where=np.isfinite(drawn))
    axes.set(xlabel=lettering(key), ylabel="cosine with the gradient", ylim=(lowest - 0.05, 1.05))
    axes.axhline(1, color="tab:gray", linewidth=0.8)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="best")
    return axes


def heat(tables: Mapping[str, NDArray[np.float64]], over: Mapping[str, Sequence[Any]], axes: Axes) -> Axes:
    """The cosine of the mean as colour and number, in brackets that of one batch."""
    (below, rows), (along, columns) = over.items()
    mean, batch = tables["cosine"], tables["batch_cosine"]
    axes.imshow(mean, cmap="RdYlGn", vmin=-1, vmax=1, aspect="auto")
    for (row, column), cosine in np.ndenumerate(mean):
        one = batch[row, column]
        text = f"{rounded(cosine, 2)}\n({one:.2f})" if np.isfinite(one) else "-"
        ink = "white" if abs(cosine) > 0.75 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(columns)), [lettering(value) for value in columns])
    axes.set_yticks(range(len(rows)), [lettering(value) for value in rows])
    axes.set(xlabel=f"{lettering(along)}    (in brackets: one batch)", ylabel=lettering(below))
    return axes
