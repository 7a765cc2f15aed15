"""Protocols: what is varied is planned, and what is wrong is told, before the first point runs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from small_sweeps import GRID, SMALL, protocol

from eqspike.errors import EqspikeError
from eqspike.runs.protocol import plan, read_sweep

ROOT = Path(__file__).parents[1]


def test_grid_lists_and_draws(tmp_path):
    grid = protocol(tmp_path, GRID + '"network.hidden" = [[12], [8, 6]]\n')
    assert grid.values() == [
        {"plasticity.beta": beta, "network.hidden": hidden} for beta in (0.5, 1.0) for hidden in ([12], [8, 6])
    ]
    points = plan(grid)
    assert [(point.table["network"]["hidden"], point.seed) for point in points[:4]] == [
        ((12,), 0), ((12,), 1), ((8, 6), 0), ((8, 6), 1)
    ]  # fmt: skip
    assert len({point.directory for point in points}) == 8

    listed = protocol(tmp_path, f'name = "l"\n{SMALL}\n[[points]]\n"training.batch_size" = 5\n[[points]]\nseed = 3\n')
    assert [point.values for point in plan(listed)] == [{"training.batch_size": 5}, {"seed": 3}]

    labelled = protocol(
        tmp_path,
        f'name = "l"\n{SMALL}\n[[points]]\nlabel = "five"\n"training.batch_size" = 5\n[[points]]\nlabel = "rest"\n',
    )
    assert [point.values for point in plan(labelled)] == [{"label": "five"}, {"label": "rest"}]
    assert [point.table["training"]["batch_size"] for point in plan(labelled)] == [5, 20]

    drawn = protocol(
        tmp_path,
        f'name = "r"\n{SMALL}\n[random]\npoints = 200\n[random.settings]\n'
        '"plasticity.beta" = {low = 0.1, high = 10.0, scale = "log"}\n"encoding.max_rate" = {low = 0.2, high = 0.4}\n',
    )
    found = drawn.values()
    assert found == drawn.values() and len({tuple(point.values()) for point in found}) == 200
    betas = np.array([point["plasticity.beta"] for point in found])
    assert betas.min() >= 0.1 and betas.max() <= 10 and 0.3 < (betas < 1).mean() < 0.7
    assert all(0.2 <= point["encoding.max_rate"] <= 0.4 for point in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL, "name: field required"),
        ('name = "x"', "exactly one of"),
        (GRID + "[random]\npoints = 2\nsettings = {a = {low = 1.0, high = 2.0}}", "exactly one of"),
        ("speed = 3" + GRID, "speed is an unknown setting"),
        (GRID + '[[drawings]]\nx = "epoch"\ny = "speed"', "drawings.y = 'speed' is not one of test_accuracy"),
        (GRID.replace("small", "../small"), "name"),
        ('name = "x"\n[[points]]\nlabel = "a"\n[[points]]\nlabel = "a"\nseed = 1', "points have the same label"),
        (GRID.replace("[0.5, 1.0]", "[]"), "grid"),
        ("name = ", "cannot read this protocol"),
        ('name = "x"\n[random]\npoints = 2\nsettings = {a = {low = -1e308, high = 1e308}}', "is too far"),
        ('name = "x"\n[random]\npoints = 2\nsettings = {a = []}', "random.settings.a"),
        (
            'name = "x"\n[random]\npoints = 2\nsettings = {a = {low = 0.0, high = 2.0, scale = "log"}}',
            "do not make a log range",
        ),
    ],
)
def test_bad_protocols_are_one_line(tmp_path, text, message):
    with pytest.raises(EqspikeError, match=message) as raised:
        protocol(tmp_path, text)
    assert "\n" not in str(raised.value) and "small.toml" in str(raised.value)


def test_a_seed_of_its_own_is_the_points(tmp_path):
    settings = SMALL[:-1] + ', "seed=7"]'
    for text, expected in (
        (f"{SMALL}\n[[points]]\nseed = 3\n[[points]]\nseed = 4\n", [3, 4]),
        (f"{SMALL}\n[grid]\nseed = [5, 6]\n", [5, 6]),
        (f'{settings}\n[grid]\n"plasticity.beta" = [0.5, 1.0]\n', [7, 7]),
        (f'{SMALL}\n[grid]\n"plasticity.beta" = [0.5, 1.0]\n', [0, 0]),
    ):
        points = plan(protocol(tmp_path, f'name = "s"\n{text}'))
        assert [point.seed for point in points] == [point.table["seed"] for point in points] == expected
        with (
            pytest.raises(EqspikeError, match=r"seeds = \[1, 2\] is for every point, but seed is set too")
            if ("seed" in text)
            else nullcontext()
        ):
            plan(protocol(tmp_path, f'name = "s"\nseeds = [1, 2]\n{text}'))


def test_points_times_seeds_are_bounded_before_they_are_planned(tmp_path):
    text = GRID.replace("[0, 1]", f"[{', '.join(map(str, range(5001)))}]")
    with pytest.raises(EqspikeError, match=r"small: has 10,002 points with all seeds, at most 10,000 are planned"):
        plan(protocol(tmp_path, text))


def test_lists_are_drawn_one_value_for_all_or_one_each(tmp_path):
    text = f'name = "r"\n{SMALL}\n[random]\npoints = 20\n[random.settings]\n'
    text += '"training.learning_rates" = {low = 0.01, high = 0.1}\n"network.weight_scale" = '
    text += "[{low = 0.1, high = 0.2}, {low = 0.5, high = 1.0, scale = 'log'}]\n"
    points = plan(protocol(tmp_path, text))
    assert len(points) == 20 and not any(point.failure for point in points)
    rates, scales = zip(*((p.table["training"]["learning_rates"], p.table["network"]["weight_scale"]) for p in points))
    assert len({*rates}) == 20 and all(len(rate) == 1 and 0.01 <= rate[0] <= 0.1 for rate in rates)
    assert len({*scales}) == 20 and all(0.1 <= one <= 0.2 and 0.5 <= other <= 1 for one, other in scales)


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        ('x = "nothing.here"', "drawings.x = 'nothing.here' is not 'epoch', 'label' where every point has one"),
        ('x = "hopfield.order"', "drawings.x = 'hopfield.order' is not"),
        ('x = "epoch"\ny = "network_energy"', "a learner 'spiking' does not count it"),
    ],
)
def test_drawings_that_no_run_could_fill_are_told_before_the_first_point(tmp_path, drawing, message):
    with pytest.raises(EqspikeError, match=message):
        plan(protocol(tmp_path, f"{GRID}[[drawings]]\n{drawing}\n"))
    text = GRID.replace("]\n[grid]", ', "learner=hopfield"]\n[grid]')
    assert plan(protocol(tmp_path, f'{text}[[drawings]]\nx = "seed"\ny = "network_energy"\n'))
    with pytest.raises(EqspikeError, match="a learner 'hopfield' does not count it"):
        plan(protocol(tmp_path, f'{text}[[drawings]]\nx = "seed"\ny = "weight_updates"\n'))


def test_settings_wrong_for_all_points_end_the_sweep_at_once(tmp_path):
    with pytest.raises(EqspikeError, match=r"training.speed is an unknown setting"):
        plan(protocol(tmp_path, GRID.replace("training.epochs=2", "training.speed=2")))


@pytest.mark.parametrize("path", sorted((ROOT / "protocols").glob("*.toml")), ids=lambda path: path.stem)
def test_protocols_in_the_repository_can_be_planned(path):
    for quick in (False, True):
        points = plan(read_sweep(path), quick)
        assert points and not any(point.failure for point in points)
