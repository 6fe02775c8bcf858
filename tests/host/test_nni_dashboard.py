"""NNI's page in a real browser: trials, their parameters and their curves are on it."""

import re
import time

import pytest
from chromium_browser import ARTEFACTS, NEEDS_CHROMIUM, chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = [pytest.mark.host, NEEDS_CHROMIUM]

CURVES = """
    const chart = document.querySelector(".echarts-for-react");
    let fiber = chart[Object.keys(chart).find(key => key.startsWith("__reactFiber"))];
    while (!fiber.memoizedProps?.option) fiber = fiber.return;
    return (fiber.memoizedProps.option.series ?? []).map(series => series.data);
"""
"""What the page's chart of intermediate results was told to draw."""
COLOURS = """
    const canvas = document.querySelector(".echarts-for-react canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const counts = {};
    for (let i = 0; i < pixels.length; i += 4) {
        const [r, g, b, alpha] = pixels.slice(i, i + 4);
        const grey = Math.max(r, g, b) - Math.min(r, g, b) < 40;
        if (alpha > 200 && !grey) counts[[r, g, b]] = (counts[[r, g, b]] ?? 0) + 1;
    }
    return Object.values(counts).filter(count => count > 300).length;
"""
"""How many different colours of lines are on the chart."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(
        tmp_path_factory.mktemp("chromium"),
        # The page asks a font service for its icons.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
        "--window-size=1500,1200",
    ) as browser:
        yield browser


def screenshot(browser, name):
    ARTEFACTS.mkdir(exist_ok=True)
    browser.save_screenshot(str(ARTEFACTS / f"dashboard-{name}.png"))


def wait(browser, condition):
    return WebDriverWait(browser, 30).until(lambda browser: condition())


def rows(browser, number):
    """The table's rows, once there are that many."""
    found = lambda: browser.find_elements(By.CSS_SELECTOR, ".ms-DetailsRow")  # noqa: E731
    wait(browser, lambda: len(found()) == number)
    return found()


def cell(row, name):
    return row.find_element(By.CSS_SELECTOR, f'[data-automation-key="{name}"]')


def test_the_overview_shows_the_best_trial(browser, finished):
    browser.get(f"http://localhost:{finished.port}/oview")
    best = max(trial.value for trial in finished.history().trials)
    page = browser.find_element(By.TAG_NAME, "body")
    wait(browser, lambda: f"{best:.6f}" in page.text)
    screenshot(browser, "overview")
    assert "meta_nni.MetaTuner" in page.text
    assert len(rows(browser, 6)) == 6


def test_the_table_shows_trials_and_their_parameters(browser, finished):
    browser.get(f"http://localhost:{finished.port}/detail")
    values = {
        cell(row, "id").text.split()[0]: cell(row, "latestAccuracy").text
        for row in rows(browser, 6)
    }
    assert set(values) == set(finished.jobs())
    shown = sorted(float(text.removesuffix(" (FINAL)")) for text in values.values())
    assert shown == pytest.approx(sorted(t.value for t in finished.history().trials), abs=1e-6)
    for number in range(6):
        cell(rows(browser, 6)[number], "_expand").find_element(By.TAG_NAME, "i").click()
    page = browser.find_element(By.TAG_NAME, "body")
    wait(browser, lambda: page.text.count("Copy as json") == 6)
    screenshot(browser, "parameters")
    found = re.findall(r'_name:"(\w)"\s(?:depth:(\d)\s)?x:(\d)', page.text)
    configs = [trial.config for trial in finished.history().trials]
    expected = [
        (c["branch"]["_name"], str(c["branch"].get("depth", "")), str(c["x"])) for c in configs
    ]
    assert sorted(found) == sorted(expected)


def test_the_charts_show_curves(browser, finished):
    browser.get(f"http://localhost:{finished.port}/detail")
    rows(browser, 6)
    tab = '//button[.//span[normalize-space()="Hyper-parameter"]]'
    browser.find_element(By.XPATH, tab).click()
    time.sleep(1)
    screenshot(browser, "plot")
    browser.find_element(By.XPATH, tab.replace("Hyper-parameter", "Intermediate result")).click()
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".echarts-for-react canvas"))
    drawn = wait(browser, lambda: browser.execute_script(CURVES))
    curves = [list(trial.result.curve) for trial in finished.history().trials]
    assert sorted(drawn) == sorted(curves)
    lines = {round(curve[-1], 6) for curve in curves}  # equal curves cover one another
    wait(browser, lambda: browser.execute_script(COLOURS) == len(lines))
    screenshot(browser, "curves")


def test_the_page_has_no_errors_of_its_own(browser):
    errors = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    assert [error for error in errors if "localhost" in error] == []
