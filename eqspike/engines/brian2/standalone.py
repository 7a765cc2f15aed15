"""A network that runs as a program of its own, which Brian2 writes in C++ and which is compiled once.

The program has one copy of the network. It reads commands from a pipe and answers through another, so that weights and inputs
change without a new build. Once it runs, nothing of it is left on the disk; it ends with the process that started it.

    run    first step, steps
    write  variable, number of values, values
    read   variable                               -> number of values, values
    send   what was read

A command is three integers of 64 bits: what, and two numbers.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import EqspikeError
from ...model.spiking import Model
from .compiler import compile_project
from .host import b2, standalone
from .network import Replicas
from .simulation import History, Simulation, Variable

RUN, WRITE, READ, SEND = range(4)
RASTER = ("neuron_index", "_timebins", "_lastindex")  # how a generator of Brian2's keeps its spikes
LOOP = """
FILE* answers = fdopen(dup(1), "wb");
dup2(2, 1);  // what else is printed is not an answer
int64_t command[3];
while (fread(command, sizeof(int64_t), 3, stdin) == 3)
{
    const int64_t place = command[1], count = command[2];
    void* values = NULL;
    size_t size = 0, length = 0;
    if (command[0] == %(run)d)
    {
        const double dt = _array_eqspike_clock_dt[0];
        eqspike_network.t = _array_eqspike_clock_t[0] = place * dt;
        eqspike_network.run(count * dt, NULL, 10.0);
        continue;
    }
    if (command[0] == %(send)d)
    {
        fflush(answers);
        continue;
    }
    switch (place)
    {
%(places)s
    }
    if (command[0] == %(write)d && (length != count || fread(values, size, count, stdin) != count)) break;
    if (command[0] == %(read)d)
    {
        const int64_t answered = length;
        fwrite(&answered, sizeof(int64_t), 1, answers);
        fwrite(values, size, length, answers);
    }
}
_exit(0);
"""


class Standalone(Simulation):
    """One copy of the network, in a process of its own. Raises EqspikeError if its code cannot be compiled, or if it ends."""

    def __init__(self, model: Model, direct: bool, moving: bool) -> None:
        with _directory() as directory:
            self.built, self._places = _written(model, direct, moving, directory)
            program = compile_project(directory)
            self._process = subprocess.Popen(
                [program],
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Control-C is for us to answer
            )
            self._owner = os.getpid()
            self._end = weakref.finalize(self, _ended, self._process, self._owner)
            self._step = 0
            self._history: list[list[list[NDArray[Any]]]] | None = None  # by step and layer
            self.read((self.built.layers[0], "count"))  # by now it has read its files

    @property
    def usable(self) -> bool:
        return self._end.alive and self._owner == os.getpid()

    @property
    def now(self) -> float:
        return self._step * self.built.model.dt / 1000

    def begin(self) -> None:
        self._step = 0

    def read(self, *variables: Variable) -> list[NDArray[Any]]:
        places = [self._places[group.name, name] for group, name in variables]
        with self._conversation() as (commands, answers):
            for place in places:
                commands.write(_command(READ, place.number))
            commands.write(_command(SEND))
            commands.flush()
            return [_array(answers, place.dtype) for place in places]

    def write(self, variable: Variable, values: Any) -> None:
        group, name = variable
        place = self._places[group.name, name]
        array = np.asarray(values, place.dtype)
        if place.size is not None:
            array = np.broadcast_to(array, (place.size,))
        with self._conversation() as (commands, _):
            commands.write(_command(WRITE, place.number, len(array)) + array.tobytes())

    def run(self, spikes: NDArray[np.uint8] | None, lost: NDArray[np.uint8] | None, steps: int) -> None:
        for generator, raster in self.rasters(spikes, lost):
            step, neuron = np.nonzero(raster[0])
            for name, values in zip(RASTER, (neuron, step + self._step, 0), strict=True):
                self.write((generator, name), values)
        for part in [steps] if self._history is None else [1] * steps:
            with self._conversation() as (commands, _):
                commands.write(_command(RUN, self._step, part))
            self._step += part
            if self._history is not None:
                self._history.append(self._seen())

    def record(self) -> None:
        self._history = []

    def recorded(self) -> History:
        history, self._history = self._history or [], None
        return [[np.array(rows) for rows in zip(*layer)] for layer in zip(*history)]

    def _seen(self) -> list[list[NDArray[Any]]]:
        """Spikes, membranes and traces of each layer but the input, as they are now."""
        seen = []
        for layer, names in self.watched():
            events, *values = self.read((layer, f"_{self.built.event}space"), *((layer, name) for name in names))
            spikes = np.zeros(len(events) - 1, np.uint8)
            spikes[events[: events[-1]]] = 1
            seen.append([spikes, *values])
        return seen

    @contextmanager
    def _conversation(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Where commands go and answers come from. What ends in the middle of a command ends the program."""
        commands, answers = self._process.stdin, self._process.stdout
        assert commands is not None and answers is not None
        try:
            yield commands, answers
        except (BrokenPipeError, EOFError) as error:
            self._end()
            raise EqspikeError(
                f"the program in which Brian2's network runs has ended (exit code {self._process.returncode}); is memory left?"
            ) from error
        except BaseException:
            self._end()
            raise


@dataclass(frozen=True)
class Place:
    """A variable, as the program knows it."""

    number: int
    dtype: np.dtype[Any]
    size: int | None  # None: as many values as are written

    @classmethod
    def of(cls, number: int, variable: Any) -> Place:
        return cls(number, np.dtype(variable.dtype), None if variable.dynamic else variable.size)


@contextmanager
def _directory() -> Iterator[Path]:
    """A temporary directory that outlives neither its block nor this process, however that ends."""
    with tempfile.TemporaryDirectory(prefix="eqspike-", ignore_cleanup_errors=True) as name:
        call = ["/bin/sh", "-c", 'read -r _; rm -rf "$1"', "sh", name]  # reads until nobody could write any more
        guard = subprocess.Popen(call, stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield Path(name)
        finally:
            guard.communicate()


def _command(what: int, place: int = 0, count: int = 0) -> bytes:
    return np.array([what, place, count], np.int64).tobytes()


def _array(answers: IO[bytes], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values that come next."""
    (count,) = np.frombuffer(_bytes(answers, 8), np.int64)
    return np.frombuffer(_bytes(answers, count * dtype.itemsize), dtype)


def _bytes(answers: IO[bytes], count: int) -> bytes:
    content = answers.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _ended(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a program, unless it is that of another process, from which this one was forked."""
    if os.getpid() == owner:
        process.kill()
        process.communicate()


def _written(
    model: Model, direct: bool, moving: bool, directory: Path
) -> tuple[Replicas, dict[tuple[str, str], Place]]:
    """Write the project; its network, and its variables by group and name."""
    with standalone() as device:
        built = Replicas(model, 1, direct, moving)
        device.headers = ["<unistd.h>", "<cstdio>"]
        built.network.run(0 * b2.ms, namespace={})
        places: dict[tuple[str, str], Place] = {}
        cases = []
        for group, name in _variables(built):
            variable = group.variables[name]
            places[group.name, name] = place = Place.of(len(places), variable)
            cases.append(_case(place, device.get_array_name(variable, access_data=False)))
        numbers = {"run": RUN, "write": WRITE, "read": READ, "send": SEND, "places": "\n".join(cases)}
        device.insert_code("main", LOOP % numbers)
        device.build(directory=str(directory), compile=False, run=False)
    return built, places


def _variables(built: Replicas) -> Iterator[Variable]:
    for layer in built.layers:
        own = sorted({*layer.equations.names, "lastspike", "not_refractory", f"_{built.event}space"})
        yield from ((layer, name) for name in own if name in layer.variables)
    yield from ((pair, name) for pair in built.pairs for name in ("w", "w_down", "dw"))
    generators = [] if built.direct else [built.generator]
    if built.model.loss:
        generators.append(built.losses)
    yield from ((generator, name) for generator in generators for name in RASTER)


def _case(place: Place, name: str) -> str:
    """Where the program finds a variable: an array, or a vector that takes the size of what is written."""
    if place.size is not None:
        where = f"values = {name}; size = sizeof(*{name}); length = _num_{name};"
    else:
        where = f"if (command[0] == {WRITE}) {name}.resize(count); values = {name}.data(); size = sizeof({name}[0]); length = {name}.size();"
    return f"    case {place.number}: {where} break;"
