"""The page of a run, opened in a real browser: every figure is drawn, nothing complains, a sample can be chosen."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from outsiders import trained
from PIL import Image

from eqspike import data, experiment, records
from eqspike.data.dataset import Dataset, Images
from eqspike.errors import EqspikeError
from eqspike.learners import build
from eqspike.learning.loop import make_batch
from eqspike.registry import plugins
from eqspike.view import report

SMALL = ["training.epochs=2", "network.hidden=[12]"]
LEARNERS = {
    "spiking": [],
    "hopfield": ["learner=hopfield", "phases.nudged=5.0", "training.learning_rates=[0.1]"],
    "backprop": ["learner=backprop", "training.learning_rates=[0.1]"],
    "outsider-bare": ["learner=outsider-bare"],
    "outsider-odd": ["learner=outsider-odd"],
}
PLOTS = {
    "spiking": {"curves", "rates", "raster", "outputs", "potentials", "confusion", "spikes"},
    "hopfield": {"curves", "rates", "outputs", "confusion"},
    "backprop": {"curves", "rates", "confusion"},
    "outsider-bare": {"curves", "rates", "confusion"},
    "outsider-odd": {"curves", "rates", "outputs", "confusion"},
}
SHAPES = {"colour": (6, 5, 3), "flat": (1, 40), "large": (90, 120), "two colours": (4, 4, 2)}


def own(shape: tuple[int, ...], classes: int = 3) -> Dataset:
    """Images of any shape, each class with pixels of its own."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    pixels = 0.8 * rng.random((classes, int(np.prod(shape))))[labels] + 0.2 * rng.random((60, int(np.prod(shape))))
    images = Images((255 * pixels).astype(np.uint8), labels, 255)
    return Dataset("own", images, images, classes, shape, "checksum")


@pytest.fixture(scope="module", params=[*LEARNERS, *SHAPES])
def page(request, tmp_path_factory):
    """Name, file and run of a page."""
    name = request.param
    dataset = own(SHAPES[name]) if name in SHAPES else data.load("digits").limited(200, 60)
    run, learner = trained(experiment(changes=[*LEARNERS.get(name, []), *SMALL]), dataset)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report.page(run, dataset, learner), encoding="utf-8")
    return name, path, run


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-background-networking"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_in_a_browser(page, browser):
    name, path, run = page
    browser.get(path.as_uri())
    plots = browser.execute_async_script(  # one question: elements asked for one by one could have moved in between
        """
        const ids = selector => [...document.querySelectorAll(selector)].map(plot => plot.id);
        const answer = () => arguments[0]([ids("div.plot:has(svg.main-svg)"), ids("div.plot")]);
        document.readyState === "complete" ? answer() : addEventListener("load", answer);
        """
    )
    assert set(plots[0]) == PLOTS.get(name, PLOTS["spiking"])
    assert plots[0] == plots[1], "an empty place is left"
    assert f"{100 * (1 - run.epochs[-1].test_error):.2f} %" in browser.find_element("css selector", ".facts").text
    wrong = int((run.evaluation.predicted != run.evaluation.labels).sum())
    assert len(browser.find_elements("css selector", "#misread figure")) == min(wrong, report.MISREAD)
    sizes = browser.execute_script("return [...document.images].map(image => image.naturalWidth * image.clientHeight)")
    assert len(sizes) == 2 + min(wrong, report.MISREAD) and min(sizes) > 0, "a picture is not shown"

    options = browser.find_element("id", "sample").find_elements("tag name", "option")
    assert len(options) > 1
    look = "return [document.getElementById('image').src, JSON.stringify(document.getElementById('outputs')?.data)]"
    before = browser.execute_script(look)
    options[-1].click()
    after = browser.execute_script(look)
    assert after[0] != before[0], "another sample shows another image"
    assert (after[1] != before[1]) == ("outputs" in plots[0])
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_is_as_wide_as_the_window(page, browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page[1].as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_page_is_whole_and_small(page):
    text = page[1].read_text(encoding="utf-8")
    assert len(text.encode()) < 6e6
    assert "<script src" not in text and '<link rel="stylesheet"' not in text


def drawn(text: str) -> dict:
    """The data in a page, as JSON that has no NaN and no infinity."""
    content = re.search(r"^const data = (.*);$", text, re.MULTILINE)[1]
    return json.loads(content, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def own_text(text: str) -> str:
    """A page without the library that is written into it."""
    return text[: text.index("<script>")] + text[text.rindex("<script>") :]


def test_what_is_drawn_is_json_and_what_is_read_is_printable(page):
    name, path, run = page
    text = path.read_text(encoding="utf-8")
    assert drawn(text)["layers"] == list(run.layers)
    assert {c for c in own_text(text) if not c.isprintable()} == {"\n"}
    assert "u001b" not in own_text(text) and "nan per inference" not in own_text(text)
    if name == "outsider-odd":
        assert "exhale_it$ &lt;b&gt; [31m" in text and ">6.75</b>photons per inference" in text


def test_numbers_and_text_that_a_page_cannot_have(page):
    _, _, run = page
    twisted = records.Run(**vars(run) | {"status": "stopped\x1b[2J\u202e", "versions": {"a\x07": "<i>"}})
    twisted.epochs = [type(epoch)(**vars(epoch) | {"rates": [np.nan] * len(run.layers)}) for epoch in run.epochs]
    dataset = own(run.dataset["image_shape"], run.parameters.sizes[-1])
    if run.dataset["name"] != "own":
        dataset = data.load("digits").limited(200, 60)
    text = report.page(twisted, dataset, build(run.experiment, dataset, run.parameters))
    assert drawn(text)["rates"] == [[None] * len(run.layers)] * len(run.epochs)
    assert "stopped [2J " in text and "version of a </td><td>&lt;i&gt;</td>" in text


def test_the_command_trains_the_same_run_again(page):
    run = page[2]
    assert experiment(changes=run.experiment.changes()).table() == run.experiment.table()
    assert report.command(run, "python run_sim.py").startswith("python run_sim.py train --set ")


def test_the_command_names_the_plugins_that_are_there(page, tmp_path):
    plugins.append(tmp_path / "my learner.py")
    try:
        assert report.command(page[2]).startswith(f"eqspike train --plugin '{tmp_path}/my learner.py' --set ")
    finally:
        plugins.pop()


def test_settings_are_escaped():
    dataset = data.load("digits").limited(200, 60)
    run, learner = trained(experiment(changes=[*SMALL, "description='<script>alert(1)</script>'"]), dataset)
    assert "<script>alert(1)" not in report.page(run, dataset, learner)


def test_settings_have_their_units(page):
    name, path, _ = page
    text = path.read_text(encoding="utf-8")
    assert ("<tr><td>phases.free</td><td>30.0 ms</td></tr>" in text) == (name in ("spiking", "hopfield", *SHAPES))
    assert "<tr><td>data.limit_test</td><td>not set</td></tr>" in text.replace(" </td>", "</td>")


def test_nothing_to_report():
    dataset = data.load("digits").limited(200, 60)
    settings = experiment(changes=SMALL)
    network = build(settings, dataset)
    run = records.Run(settings, network.parameters, network.phases, records.describe(dataset))
    with pytest.raises(EqspikeError, match="no finished epoch to report"):
        report.page(run, dataset, network)


def test_other_data_than_the_run_was_tested_on():
    dataset = data.load("digits").limited(200, 60)
    run, learner = trained(experiment(changes=SMALL), dataset)
    with pytest.raises(EqspikeError, match="tested on other samples"):
        report.page(run, dataset.limited(None, 40), learner)


def test_a_layer_of_maps_shows_how_often_each_neuron_spiked():
    layers = 'network.layers=[{kind="conv",channels=3,kernel=3},{kind="dense",neurons=7}]'
    dataset = data.load("digits").limited(200, 60)
    run, learner = trained(experiment(changes=["training.epochs=1", layers]), dataset)
    sample = drawn(report.page(run, dataset, learner))["samples"][0]
    assert [maps["layer"] for maps in sample["maps"]] == ["hidden 1"]
    picture = np.asarray(Image.open(BytesIO(b64decode(sample["maps"][0]["image"].partition(",")[2]))), float)
    recording = learner.record(make_batch(dataset.test, np.array([sample["sample"]]), 0, "test"))
    settling, deciding = (phase.steps for phase in recording.phases[:2])  # the free phase
    counts = recording.spikes[1][0, settling : settling + deciding].sum(axis=0).reshape(6, 6, 3)
    assert counts.max() > 0
    np.testing.assert_allclose(picture[:6, :6], 255 * (1 - counts[..., 0] / counts.max()), atol=0.51)
