"""Neurons that are not alike: a setting of the neuron differs from one to the next, drawn once for each seed.

    lognormal    value exp(spread n)             normal    value (1 + spread n), at least a tenth of it; n standard normal

`[hardware.mismatch.spread]` names the settings: `v_threshold = 0.1`, `tau_m = 0.2`. What is zero or infinite stays so. What a spike adds where it arrives is that
of the nominal neuron. The traces that the rule reads are the same everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ...errors import EqspikeError
from ..spiking import Model
from . import Fault, FaultSettings, hardware

Spread = Annotated[float, Field(ge=0, le=3)]


class MismatchSettings(FaultSettings):
    """Neurons that are not alike."""

    spread: dict[str, Spread] = {"v_threshold": 0.1}  # relative, of settings of the neuron
    distribution: Literal["lognormal", "normal"] = "lognormal"


@hardware.register("mismatch")
class Mismatch(Fault):
    """Gives each neuron values of its own."""

    Settings = MismatchSettings

    def model(self, model: Model) -> Model:
        settings, draw, varied = model.neuron_settings, self.cells.frozen(shared=True), {}
        fixed = {"dt_ref", "tau_rho", "tau_slow"}
        known = {name for name in model.neuron.values(settings) if name not in fixed}
        for name, spread in sorted(self.settings.spread.items()):
            if name not in known:
                raise EqspikeError(
                    f"hardware.mismatch.spread.{name}: no setting of the neuron {settings.model!r} that can differ: there are"
                    f" {', '.join(sorted(known))}"
                )
            value = getattr(settings, name)
            layers = [spread * draw.standard_normal(coupling.post) for coupling in model.couplings]
            if value and np.isfinite(value) and spread:
                varied[name] = tuple(value * self._factor(layer) for layer in layers)
        return replace(model, varied=varied)

    def _factor(self, deviation: Any) -> Any:
        if self.settings.distribution == "lognormal":
            return np.exp(deviation)
        return np.maximum(1 + deviation, 0.1)
