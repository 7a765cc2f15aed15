"""Passes over all parameters against NumPy; the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from eqspike.arithmetic import PART, count_zeros, descend, multiply_out, squares
from eqspike.helpers import at_work, desk, helpers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 7, PART, 3 * PART + 5])
def test_passes_are_those_of_numpy(count, dtype):
    rng, found = np.random.default_rng(count), []
    one, other = rng.standard_normal((2, count)).astype(dtype)
    one[rng.random(count) < 0.3] = 0
    ends = np.array([count // 3, count // 3, count])  # a segment may be empty
    rates, decays = np.array([[0.5, 7, -1.5], [0.25, 7, 0]], dtype)
    places = [np.arange(count // 3), np.arange(count // 3, count)]
    update = np.concatenate([rates[n] * other[at] + decays[n] * one[at] for n, at in zip((0, 2), places)])
    for threads in (1, 2, 3):
        values, found_update = one.copy(), np.empty_like(one)
        with at_work(threads):
            zeros, sums = count_zeros(desk(), values), squares(desk(), values, ends)
            descend(desk(), other, values, ends, rates, decays)
            multiply_out(desk(), found_update, other, one, ends, rates, decays)
        assert zeros == np.sum(one == 0) and sums[1] == 0
        of_numpy = [np.sum(one[at].astype(float) ** 2) for at in places]
        np.testing.assert_allclose(sums[[0, 2]], of_numpy, rtol=1e-5)
        np.testing.assert_array_equal(found_update, update)
        np.testing.assert_array_equal(values, one - update)
        found.append((zeros, sums.tobytes(), values.tobytes()))
    assert len({*found}) == 1


def test_so_many_are_at_work_until_it_ends():
    assert len(desk()) == 1
    with at_work(3):
        assert desk() is helpers(3).desk()
        with pytest.raises(ZeroDivisionError), at_work(2):
            assert len(desk()) == 2
            _ = 1 / 0
        assert len(desk()) == 3
    assert len(desk()) == 1
