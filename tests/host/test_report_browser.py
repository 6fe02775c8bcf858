"""The report in a real browser: what is drawn, light and dark, on narrow and wide pages."""

import base64
import io

import numpy as np
import pytest
from chromium_browser import ARTEFACTS, NEEDS_CHROMIUM, chromium
from histories import EVIDENCE, make_config, make_run
from PIL import Image
from selenium.webdriver.common.by import By

from meta_nni.report import write_report
from meta_nni.trial import History, Result, Suggestion, Trial

pytestmark = [pytest.mark.host, NEEDS_CHROMIUM]

SIZES = [("light", 400), ("dark", 400), ("light", 1400), ("dark", 1400)]
MEASURED = {"light": (34, 112, 143), "dark": (109, 185, 218)}
"""The style sheet's colour of what was measured."""
TEXTS = ("digits", "Best so far", "Predicted and measured", "How to get the model")
OUTSIDE = """
    const wide = document.documentElement.clientWidth;
    return [...document.querySelectorAll("body *")]
        .map(each => [each.tagName, each.getBoundingClientRect()])
        .filter(([, box]) => box.width && (box.right > wide + 1 || box.left < -1))
        .map(([name, box]) => `${name} ${box.left} to ${box.right}`);
"""
"""What reaches beyond the page's sides."""
CONTRASTS = """
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number)
            .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const card = light(getComputedStyle(document.querySelector("section")).backgroundColor);
    return [...document.querySelectorAll("section h2, section p, summary span, dd, pre")]
        .map(each => light(getComputedStyle(each).color))
        .map(ink => (Math.max(ink, card) + 0.05) / (Math.min(ink, card) + 0.05));
"""
"""Contrast of each text to its card, by the web's accessibility guidelines (WCAG 2.1)."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of 30 trials with long names, a failure and values beyond their axis."""
    rng = np.random.default_rng(0)
    trials = []
    for number in range(30):
        mean = 0.7 + 0.006 * number
        config = make_config(rate=(number + 1) / 1000)
        suggestion = Suggestion(config, "adapted", mean, 0.05, 8.0, "w" * 300, EVIDENCE)
        value = -50.0 if number == 3 else mean + float(rng.normal(0, 0.04))
        result = Result(value, seconds=5.0 + number % 4, metrics={"parameters": 10.0**number})
        if number == 7:
            result = Result.failed("out of memory: " + "x" * 200, 3.0)
        trials.append(Trial(str(number), number, suggestion).with_result(result))
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_report(History(make_run("nni-abc"), tuple(trials)), "a/" * 60 + "store.db", file)
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(
        tmp_path_factory.mktemp("chromium"),
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--force-color-profile=srgb",
    ) as browser:
        yield browser


def show(browser, page, scheme, width):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    for each in browser.find_elements(
        By.CSS_SELECTOR, "details:nth-of-type(8), details:last-child"
    ):
        each.find_element(By.TAG_NAME, "summary").click()


def screenshot(browser, name):
    """The whole page as pixels [H, W, 3]; also kept as a file."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return window.innerWidth")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    data = base64.b64decode(taken["data"])
    ARTEFACTS.mkdir(exist_ok=True)
    (ARTEFACTS / f"report-{name}.png").write_bytes(data)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize(("scheme", "width"), SIZES)
def test_it_looks_as_it_should(browser, page, scheme, width):
    show(browser, page, scheme, width)
    pixels = screenshot(browser, f"{scheme}-{width}")
    # The page: as light or dark as asked for, with marks of the right colour in the charts.
    ground = np.median(pixels.reshape(-1, 3), axis=0).mean()
    assert ground > 200 if scheme == "light" else ground < 60
    chart = browser.find_element(By.CSS_SELECTOR, "svg.chart").rect
    part = pixels[
        int(chart["y"]) : int(chart["y"] + chart["height"]),
        int(chart["x"]) : int(chart["x"] + chart["width"]),
    ]
    is_mark = (np.abs(part - MEASURED[scheme]) <= 3).all(axis=2)
    columns = np.flatnonzero(is_mark.any(axis=0))
    assert columns.max() - columns.min() > 0.7 * part.shape[1]
    # Nothing stands out at the sides, so there is nothing to scroll to.
    scrolled = browser.execute_script("return document.documentElement.scrollWidth")
    assert scrolled == browser.execute_script("return document.documentElement.clientWidth")
    assert browser.execute_script(OUTSIDE) == []
    assert min(browser.execute_script(CONTRASTS)) >= 4.5


def test_its_texts_are_visible(browser, page):
    show(browser, page, "light", 1400)
    text = browser.find_element(By.TAG_NAME, "body").text
    for each in (*TEXTS, "70% fashion (earlier): trial 3 (0.8) +0.4", "Value against parameters"):
        assert each in text
    names = browser.find_elements(By.CSS_SELECTOR, "svg.chart text")
    assert all(name.size["width"] > 0 for name in names)
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.chart")) == 5


def test_wide_pages_have_two_columns_and_narrow_ones_one(browser, page):
    for width, columns in ((400, 1), (1400, 2)):
        show(browser, page, "light", width)
        cards = browser.find_elements(By.CSS_SELECTOR, "section:not(.wide)")
        assert len({round(card.rect["x"]) for card in cards}) == columns


def test_it_asks_nobody_and_has_no_errors(browser, page):
    browser.get_log("performance"), browser.get_log("browser")
    show(browser, page, "dark", 1400)
    sent = [e["message"] for e in browser.get_log("performance")]
    asked = [message for message in sent if '"Network.requestWillBeSent"' in message]
    assert len(asked) == 1  # the page itself
    assert page.name in asked[0]
    assert browser.get_log("browser") == []
