"""A model in Brian2: replicas of the network, one for each sample of a batch."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ...model.spiking import Model
from ...settings import unit_of
from .exact import exact
from .host import b2
from .transmission import Transmission, losing

HALF = 0.5 + 1e-9  # steps that are rounded up, the error of a division by dt allowed for
SCHEDULE = ["start", "groups", "thresholds", "synapses", "resets", "end"]


class Replicas:
    """Groups and synapses of so many copies of a network; `direct`: the input is a current and has no spikes.

    `moving`: weights and biases change as the rule says it, by `pace` for each unit of it.
    """

    @property
    def _namespace(self) -> dict[str, Any]:
        """Numbers of the names in the text, times with their unit."""
        model, settings = self.model, self.model.neuron_settings
        names = {n: v * b2.ms if unit_of(settings, n) == "ms" else v for n, v in model.values.items() if n != "dt"}
        names |= {f"tau_{name}": tau * b2.ms for name, tau in model.output_traces.items()}
        return names | {"total_share": sum(model.rule.shares.values())}

    def _reading(self, suffix: str = "") -> str:
        """What a synapse reads of a neuron."""
        return "(" + " + ".join(f"{share!r}*{name}{suffix}" for name, share in self.model.rule.shares.items()) + ")"

    def _learn(self, change: str, *moving: str, suffix: str = "") -> list[str]:
        """Statements that add to the total change dw or db and, where they move with it, to the weights themselves."""
        total = f"d{moving[0]}"
        return [f"{total} += {change}", *(f"{name} += pace{suffix} * {change}" for name in moving if self.moving)]

    def _own(self, text: str) -> str:
        """A text in which settings that differ from neuron to neuron are variables of the neuron."""
        for name in self.model.varied:
            text = _replaced(text, name, f"{name}_own")
        return text

    def _layer(self, n: int, size: int, output: bool, common: dict[str, Any]) -> Any:
        """The neurons of a layer: the text, with the nudge as a part of `b`, and the traces."""
        model, neuron, name = self.model, self.model.neuron, f"eqspike_layer_{n}"
        traces = model.output_traces if output else model.traces
        text, threshold = self._own(neuron.equations), f"({self._own(neuron.threshold)}) and alive"
        if output:
            text = "\n".join(_replaced(line, "b", f"(b + {model.nudge.current})") for line in text.splitlines())
        exactly = neuron.method == "exact"
        parameters = ["b", "target", "rate", "db", *([] if exactly else traces)]
        moving = [f"d{trace}/dt = -{trace}/tau_{trace} : 1" for trace in traces] if exactly else []
        units = {varied: "second" if unit_of(model.neuron_settings, varied) == "ms" else "1" for varied in model.varied}
        own = [f"{varied}_own : {unit} (constant)" for varied, unit in units.items()]
        seen = [
            *(f"{trace} += dt_ref/tau_{trace}" for trace in traces),
            *self._learn("phase_sign * total_share", "b"),
            "count += 1",
        ]
        transmission = Transmission(model, threshold) if model.astray else None
        group = b2.NeuronGroup(
            size,
            "\n".join(
                [text, *moving, *(f"{parameter} : 1" for parameter in parameters), *own]
                + ["pace : 1 (shared)"] * self.moving
                + ["beta : 1 (shared)", "phase_sign : 1 (shared)", "count : integer", "alive : boolean"]
                + (transmission.variables if transmission else [])
            ),
            threshold=threshold,
            reset="\n".join(
                [self._own(neuron.reset.replace(";", "\n")), *(transmission.reset if transmission else seen)]
            ),
            events=transmission.events if transmission else {},
            refractory=f"int(({self._own(neuron.refractory)})/dt + {HALF})*dt" if neuron.refractory else False,
            method=exact if exactly else neuron.method,
            name=name,
            **common,
        )
        if transmission:
            transmission.follow(group, "\n".join(seen))
        if not exactly:  # another method is for the neuron's own equations: a trace decays exactly
            decays = "\n".join(f"{trace} *= exp(-dt/tau_{trace})" for trace in traces)
            group.run_regularly(decays, when="after_groups", name=f"{name}_decay", clock=common["clock"])
        if neuron.limit:
            group.run_regularly(
                self._own(neuron.limit), when="after_groups", name=f"{name}_limit", clock=common["clock"]
            )
        moved = "\n".join(self._learn(f"phase_sign * {self._reading()} * dt/dt_ref", "b"))
        group.run_regularly(moved, when="before_synapses", name=f"{name}_bias", clock=common["clock"])
        for varied, unit in units.items():
            values = np.tile(model.varied[varied][n - 1], self.replicas)
            setattr(group, f"{varied}_own_", values / 1000 if unit == "second" else values)
        if model.delays:
            steps = np.tile(model.delays[n - 1], self.replicas)
            group.reach = np.where(steps > 0, 2.0**steps, 0)
        return group

    def __init__(self, model: Model, replicas: int, direct: bool, moving: bool = False) -> None:
        self.model, self.replicas, self.direct, self.moving = model, replicas, direct, moving
        couplings = model.couplings
        self.event = "sent" if model.astray else "spike"  # what others see of a neuron
        common = {"clock": b2.Clock(model.dt * b2.ms, name="eqspike_clock"), "namespace": self._namespace}
        pixels, traces = replicas * couplings[0].pre, model.traces
        extra: list[Any] = []
        if direct:
            inputs = b2.NeuronGroup(pixels, "rate : 1\ncount : integer", name="eqspike_layer_0", **common)
        else:
            # generator -> relay within one step: the generator fires and its synapses act before the thresholds
            self.generator = b2.SpikeGeneratorGroup(
                pixels, [], [] * b2.ms, clock=common["clock"], when="before_groups", name="eqspike_raster"
            )
            inputs = b2.NeuronGroup(
                pixels,
                "\n".join(["drive : 1\ncount : integer", *(f"d{name}/dt = -{name}/tau_{name} : 1" for name in traces)]),
                threshold="drive > 0",
                reset="\n".join(["drive = 0\ncount += 1", *(f"{name} += dt_ref/tau_{name}" for name in traces)]),
                method="exact",
                name="eqspike_layer_0",
                **common,
            )
            wires = b2.Synapses(self.generator, inputs, on_pre="drive_post += 1", name="eqspike_wires", **common)
            wires.connect(j="i")
            wires.pre.when = "groups"
            extra = [self.generator, wires]
        last = len(couplings) - 1
        above = [self._layer(n + 1, replicas * c.post, n == last, common) for n, c in enumerate(couplings)]
        self.layers = [inputs, *above]
        if model.loss:
            self.losses, *wires = losing(model, above, replicas, common)
            extra += [self.losses, *wires]
        self.pairs = [self._pair(n, replicas, common) for n in range(len(couplings))]
        self.network = b2.Network(*extra, *self.layers, *self.pairs, name="eqspike_network")
        self.network.schedule = SCHEDULE
        for each in self.network.objects:  # of one that an error keeps from running Brian2 would warn, lines of it
            each._network = self.network.id

    def _pair(self, n: int, replicas: int, common: dict[str, Any]) -> Any:
        """The synapses between layer n and the one above."""
        coupling, neuron = self.model.couplings[n], self.model.neuron
        name, statement = neuron.receiving[0], neuron.receive
        up, down = (_replaced(statement, name, f"{name}_{side}") for side in ("post", "pre"))
        down = _replaced(down, "w", "w_down")
        learn_up, learn_down = (
            "\n".join(self._learn(f"phase_sign_post * {self._reading(f'_{side}')}", "w", "w_down", suffix="_post"))
            for side in ("post", "pre")
        )
        if n == 0 and self.direct:
            codes = {"on_post": "dw += phase_sign_post * total_share * rate_pre"}
        else:
            codes = {"on_pre": f"{up}\n{learn_up}", "on_post": learn_down if n == 0 else f"{down}\n{learn_down}"}
        ends = self.layers[n], self.layers[n + 1]
        pair = b2.Synapses(
            *ends,
            "w : 1\nw_down : 1\ndw : 1",
            on_event={"pre": "spike" if n == 0 else self.event, "post": self.event},
            name=f"eqspike_pair_{n}",
            **codes,
            **common,
        )
        synapses, copies = coupling.synapses(), np.arange(replicas)[:, None]
        pair.connect(
            i=(copies * coupling.pre + synapses.pre).ravel(), j=(copies * coupling.post + synapses.post).ravel()
        )
        if n == 0 and self.direct:
            moved = f"dw += phase_sign_post * rate_pre * {self._reading('_post')} * dt/dt_ref"
            pair.run_regularly(moved, when="before_synapses", name="eqspike_pair_0_rate", clock=common["clock"])
        return pair


def _replaced(text: str, name: str, by: str) -> str:
    """A text in which a name stands for something else."""
    return re.sub(rf"\b{name}\b", by, text)
