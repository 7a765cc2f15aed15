"""Passes over all parameters against NumPy; the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from eqspike.arithmetic import PART, add_scaled, count_zeros, multiply, squares
from eqspike.helpers import at_work, desk, helpers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 7, PART, 3 * PART + 5])
def test_passes_are_those_of_numpy(count, dtype):
    rng, found = np.random.default_rng(count), []
    one, other = rng.standard_normal((2, count)).astype(dtype)
    one[rng.random(count) < 0.3] = 0
    for threads in (1, 2, 3):
        values = one.copy()
        with at_work(threads):
            zeros, total = count_zeros(desk(), values), squares(desk(), values)
            add_scaled(desk(), values, dtype(-0.5), other)
            multiply(desk(), values, dtype(1.5))
        assert zeros == np.sum(one == 0)
        assert total == pytest.approx(np.sum(one.astype(float) ** 2), rel=1e-5)
        np.testing.assert_allclose(
            values, (one - dtype(0.5) * other) * dtype(1.5), rtol=1e-6 if dtype == np.float32 else 1e-15
        )
        found.append((zeros, total, values.tobytes()))
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
