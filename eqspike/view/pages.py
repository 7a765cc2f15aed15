"""Pages that open from disk. They need no network: the plotting library (plotly.js, MIT) is written into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from ..errors import EqspikeError
from ..output import plain, printable


def render(template: str, data: Mapping[str, Any], **values: Any) -> str:
    """A page whose script draws `data`; other values stand in its text.

    Neither has control characters, and `data` is JSON. Raises EqspikeError if there is no plotly.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise EqspikeError("a page needs plotly: pip install 'eqspike[report]'") from None
    environment = Environment(loader=PackageLoader("eqspike.view", "."), autoescape=True, finalize=_finalized)
    return environment.get_template(template).render(values, plotly=get_plotlyjs(), data=plain(data, printable))


def _finalized(value: object) -> object:
    """What a value is as text of the page; what the templates mark as safe is ours."""
    return value if isinstance(value, Markup) else printable(value)
