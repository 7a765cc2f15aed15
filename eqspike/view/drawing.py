"""What all drawings share: the figure they are drawn in, the text they show, the file they are written to."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..errors import EqspikeError
from ..files import write_bytes
from ..output import printable

DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def lettering(text: object) -> str:
    """Text of a file or a path as it may be drawn: printable, and $...$ is mathematics only where it can be read so."""
    plain = printable(text)
    if "$" in plain:
        try:
            MathTextParser("path").parse(plain)
        except ValueError:
            return plain.replace("$", r"\$")
    return plain


def over_epochs(axes: Axes, ylabel: str) -> Axes:
    """Finish axes that have lines over epochs, from 0 up."""
    axes.set(xlabel="epoch", ylabel=ylabel, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes


def errors_over_epochs(axes: Axes, ylabel: str) -> Axes:
    """The same for shares in [0, 1], in percent."""
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    return over_epochs(axes, ylabel)


def save(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all; its name says of which kind.

    Raises EqspikeError for what cannot be drawn, and as `files.write_bytes` does.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise EqspikeError(
            f"{path}: cannot draw a picture of this kind; its name ends in .png, .pdf or .svg, for instance"
        )
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font does not have is drawn as a box
        try:
            figure.savefig(content, dpi=DPI, format=kind)
        except ValueError as error:
            raise EqspikeError(f"{path}: cannot draw this picture ({str(error).splitlines()[-1]})") from error
    write_bytes(path, content.getbuffer())
