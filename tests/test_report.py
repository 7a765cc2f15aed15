"""The page of a run, opened in a real browser: every figure is drawn, nothing complains, a sample can be chosen."""

from __future__ import annotations

import shutil

import pytest

from eqspike import build, experiment, records, report
from eqspike.data import load
from eqspike.errors import EqspikeError
from eqspike.runs.run import train_run

SMALL = ["training.epochs=2", "network.hidden=[12]", "data.limit_train=200", "data.limit_test=60"]
LEARNERS = {
    "spiking": [],
    "hopfield": ["learner=hopfield", "phases.nudged=5.0", "training.learning_rates=[0.1]"],
    "backprop": ["learner=backprop", "training.learning_rates=[0.1]"],
}
DRAWN = {
    "spiking": {"curves", "rates", "raster", "outputs", "potentials", "confusion", "fields", "spikes"},
    "hopfield": {"curves", "rates", "outputs", "confusion", "fields"},
    "backprop": {"curves", "rates", "confusion", "fields"},
}


@pytest.fixture(scope="module", params=LEARNERS)
def page(request, tmp_path_factory):
    settings = experiment(changes=[*LEARNERS[request.param], *SMALL])
    data = load("digits").limited(200, 60)
    path = tmp_path_factory.mktemp(request.param) / "report.html"
    run = train_run(settings, data, path.with_name("run.h5"))
    path.write_text(report.page(run, data, build(settings, data, run.parameters)), encoding="utf-8")
    return request.param, path, run


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-sync"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_in_a_browser(page, browser):
    name, path, run = page
    browser.get(path.as_uri())
    drawn = browser.execute_async_script(  # one question: elements asked for one by one could have moved in between
        """
        const ids = selector => [...document.querySelectorAll(selector)].map(plot => plot.id);
        const answer = () => arguments[0]([ids(".plot:has(svg.main-svg)"), ids(".plot")]);
        document.readyState === "complete" ? answer() : addEventListener("load", answer);
        """
    )
    assert set(drawn[0]) == DRAWN[name]
    assert drawn[0] == drawn[1], "an empty place is left"
    assert f"{100 * (1 - run.epochs[-1].test_error):.2f} %" in browser.find_element("css selector", ".facts").text
    wrong = int((run.evaluation.predicted != run.evaluation.labels).sum())
    assert len(browser.find_elements("css selector", "#misread figure")) == min(wrong, report.MISREAD)

    chooser = browser.find_element("id", "sample")
    options = chooser.find_elements("tag name", "option")
    assert len(options) > 1
    look = "return [document.getElementById('image').toDataURL(), JSON.stringify(document.getElementById('outputs')?.data[3].y)]"
    before = browser.execute_script(look)
    options[-1].click()
    after = browser.execute_script(look)
    assert after[0] != before[0], "another sample shows another image"
    assert (after[1] != before[1]) == ("outputs" in drawn[0])
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_a_page_is_whole_and_small(page):
    _, path, _ = page
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 6e6
    assert "<script src" not in text and '<link rel="stylesheet"' not in text


def test_the_command_trains_the_same_run_again(page):
    _, _, run = page
    assert experiment(changes=run.experiment.changes()).table() == run.experiment.table()
    assert report.command(run).startswith("python run_sim.py train --set")


def test_settings_are_escaped(tmp_path):
    settings = experiment(changes=[*SMALL, "description='<script>alert(1)</script>'"])
    data = load("digits").limited(200, 60)
    run = train_run(settings, data, tmp_path / "run.h5")
    assert "<script>alert(1)" not in report.page(run, data, build(settings, data, run.parameters))


def test_nothing_to_report(tmp_path):
    settings = experiment(changes=SMALL)
    data = load("digits").limited(200, 60)
    network = build(settings, data)
    run = records.Run(settings, network.parameters, network.phases, records.describe(data))
    with pytest.raises(EqspikeError, match="no finished epoch to report"):
        report.page(run, data, network)
