"""Compiled work is shared out: each piece is done once, whoever comes to it, and helpers sleep, wake and end."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from eqspike.helpers import Helpers
from eqspike.kernels import compiled, inlined
from eqspike.memory import pointer
from eqspike.share import ASLEEP, FREE, STATE, TAKEN, look, make_room, put, share


@inlined
def add_to(unit, thread, done, by, work):
    """Work of some length on a place of its own."""
    total = 0.0
    for n in range(work * (unit + 1)):
        total += np.sqrt(unit + n)
    done[unit] += 1 + 0 * total
    by[unit] = thread


@compiled
def add(desk, done, by, work):
    share(desk, add_to, (done, by, work), len(done))


@inlined
def meet(unit, thread, flags, by):
    """Say that this unit has begun, and wait a while for the others."""
    put(pointer(flags), unit, 1)
    for other in range(len(flags)):
        looks = 0
        while not look(pointer(flags), other) and looks < 20_000:
            make_room()
            looks += 1
    by[unit] = thread


@compiled
def meet_all(desk, flags, by):
    share(desk, meet, (flags, by), len(flags))


@pytest.fixture(scope="module", params=[1, 2, 5])
def threads(request):
    return Helpers(request.param)


@pytest.mark.parametrize("units", [0, 1, 7, 40])
@pytest.mark.parametrize("work", [0, 300])
def test_each_unit_is_done_once(threads, units, work):
    for _ in range(50):
        done, by = np.zeros(units), np.full(units, -1)
        add(threads.desk(), done, by, work)
        assert (done == 1).all() and (by >= 0).all() and (by < threads.count).all()


def test_after_a_sleep_as_well():
    threads, units = Helpers(2), 20
    desk = threads.desk()
    for _ in range(5):
        until = time.monotonic() + 20
        while desk[1, STATE] != ASLEEP and time.monotonic() < until:
            time.sleep(0.01)
        assert desk[1, STATE] == ASLEEP, "a helper without work goes to sleep"
        done = np.zeros(units)
        add(desk, done, np.zeros(units, int), 100)  # nobody wakes it: the caller does all
        assert (done == 1).all() and desk[1, STATE] == ASLEEP
        add(threads.desk(), done, np.zeros(units, int), 100)
        assert (done == 2).all()


@pytest.mark.parametrize("count", [2, 3])
def test_all_threads_take_part(count):
    """Units that wait for each other are all under way at a time; a helper may be asleep, but not always."""
    threads, met = Helpers(count), 0
    for _ in range(100):
        flags, by = np.zeros(count, np.int64), np.zeros(count, np.int64)
        meet_all(threads.desk(), flags, by)
        met += sorted(by) == [*range(count)]
    assert met


def test_a_second_caller_does_its_own_work_meanwhile():
    threads = Helpers(2)
    desk = threads.desk()
    desk[0, STATE] = TAKEN
    done, by = np.zeros(9), np.full(9, -1)
    add(desk, done, by, 100)
    assert (done == 1).all() and (by == 0).all()
    desk[0, STATE] = FREE

    def often(_: int) -> None:
        for _ in range(300):
            done = np.zeros(11)
            add(threads.desk(), done, np.zeros(11, int), 200)
            assert (done == 1).all()

    with ThreadPoolExecutor(3) as pool:
        assert [*pool.map(often, range(3))] == [None] * 3


@pytest.mark.parametrize("pause", [0, 0.2], ids=["awake", "asleep"])
def test_a_process_ends_with_its_helpers(pause):
    code = f"""if True:
        import time, numpy, test_share
        test_share.add(test_share.Helpers(3).desk(), numpy.zeros(5), numpy.zeros(5, int), 9)
        time.sleep({pause})
        print(1)"""
    call, here = [sys.executable, "-c", code], Path(__file__).parent
    done = subprocess.run(call, cwd=here, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
