"""Neurons that are not alike: a setting of the neuron differs from one to the next, drawn once for each seed.

    lognormal    value exp(spread n)             normal    value (1 + spread n), at least a tenth of it; n standard normal

`[hardware.mismatch.spread]` names the settings: `v_threshold = 0.1`, `gain = 0.1`, `tau_m = 0.2`. What is zero or infinite stays so. What a
spike adds where it arrives is that of the nominal neuron. The traces that the rule reads are the same everywhere.

A unit of a network of rates has a gain and a threshold, which are 1. Both differ as those of spiking neurons do under the same spreads and seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ...errors import EqspikeError
from ..differences import Differences
from ..spiking import Model
from . import Fault, FaultSettings, hardware

Spread = Annotated[float, Field(ge=0, le=3)]
OF_RATES = "gain", "v_threshold"


class MismatchSettings(FaultSettings):
    """Neurons that are not alike."""

    spread: dict[str, Spread] = {"v_threshold": 0.1}  # relative, of settings of the neuron
    distribution: Literal["lognormal", "normal"] = "lognormal"


@hardware.register("mismatch")
class Mismatch(Fault):
    """Gives each neuron values of its own."""

    Settings = MismatchSettings

    def model(self, model: Model) -> Model:
        settings, fixed = model.neuron_settings, {"dt_ref", "tau_rho", "tau_slow"}
        self._check(set(model.neuron.values(settings)) - fixed, f"the neuron {settings.model!r}")
        values = {name: getattr(settings, name) for name, spread in sorted(self.settings.spread.items()) if spread}
        varied = {
            name: tuple(value * factor for factor in self._factors[name])
            for name, value in values.items()
            if value and np.isfinite(value)
        }
        return replace(model, varied=varied)

    def differences(self) -> Differences:
        self._check(OF_RATES, "a unit of rates")
        alike = [1.0] * len(self.cells.parameters.couplings)
        return Differences(*(self._factors.get(name, alike) for name in OF_RATES))

    @cached_property
    def _factors(self) -> dict[str, list[Any]]:
        """What a setting is multiplied by, of each neuron [N_l] of each layer but the input."""
        draw, layers = self.cells.frozen(shared=True), [coupling.post for coupling in self.cells.parameters.couplings]
        return {
            name: [self._factor(spread * draw.standard_normal(neurons)) for neurons in layers]
            for name, spread in sorted(self.settings.spread.items())
        }

    def _factor(self, deviation: Any) -> Any:
        if self.settings.distribution == "lognormal":
            return np.exp(deviation)
        return np.maximum(1 + deviation, 0.1)

    def _check(self, known: Iterable[str], whose: str) -> None:
        for name in sorted(set(self.settings.spread) - set(known)):
            raise EqspikeError(
                f"hardware.mismatch.spread.{name}: no setting of {whose} that can differ: there are"
                f" {', '.join(sorted(known))}"
            )
