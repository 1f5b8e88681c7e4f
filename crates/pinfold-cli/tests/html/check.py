"""Looks at pages of `pinfold explain --html` in a headless Chromium."""

import pathlib
import sys

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

DESK, PHONE = (1440, 1000), (390, 844)


def open_browser():
    options = webdriver.ChromeOptions()
    for flag in ["--headless=new", "--no-sandbox", "--disable-gpu", "--force-device-scale-factor=1"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options)


def size(browser, width, height):
    """The size of the page itself, which a window may not be small enough for."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def accessible(browser):
    """Roles and names, as assistive technology is given them."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    told = [node for node in nodes if not node.get("ignored")]
    return {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in told}


def check(browser, page, shots):
    for width, height in [DESK, PHONE]:
        size(browser, width, height)
        browser.get(page.as_uri())
        said = lambda: browser.find_element(By.ID, "said").text
        slider = browser.find_element(By.ID, "row")
        last = int(slider.get_attribute("max"))
        assert last > 5, "an execution has more rows than that"
        assert int(slider.get_attribute("value")) == last, "a failure is shown at its end"
        assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == last + 1
        if shots:
            browser.save_screenshot(str(shots / f"{page.stem}-{width}-end.png"))

        # By keyboard alone: the slider is reached by Tab, and moves by arrows, Home and End.
        body = browser.find_element(By.TAG_NAME, "body")
        for _ in range(5):
            if browser.switch_to.active_element.get_attribute("id") == "row":
                break
            browser.switch_to.active_element.send_keys(Keys.TAB)
        assert browser.switch_to.active_element == slider, "Tab reaches the slider"
        slider.send_keys(Keys.HOME)
        first = said()
        assert first.startswith("step 1"), first
        seen = {first}
        for at in range(1, last + 1):
            slider.send_keys(Keys.ARROW_RIGHT)
            assert int(slider.get_attribute("value")) == at
            current = browser.find_elements(By.CSS_SELECTOR, "tr[aria-current]")
            assert [row.get_attribute("id") for row in current] == [f"row{at}"]
            seen.add(said())
            if shots and at == last // 2:
                browser.save_screenshot(str(shots / f"{page.stem}-{width}-half.png"))
        assert len(seen) > last // 2, "rows say different things"
        assert "of" in slider.get_attribute("aria-valuetext")
        browser.find_element(By.ID, "back").send_keys(Keys.ENTER)
        assert int(slider.get_attribute("value")) == last - 1, "the button goes one row back"
        body.send_keys(Keys.ARROW_LEFT)
        assert int(slider.get_attribute("value")) == last - 2, "arrows work outside the slider"
        browser.execute_script("document.getElementById('row0').click()")
        assert said() == first, "a row of the table is chosen by a click"
        slider.send_keys(Keys.END)

        # The picture shows what the words say.
        boxes = browser.find_elements(By.CSS_SELECTOR, "#drawing svg rect")
        words = browser.find_elements(By.CSS_SELECTOR, "#words li")
        assert len(boxes) == len(words) > 2, (len(boxes), len(words))
        assert browser.find_elements(By.CSS_SELECTOR, "#drawing svg path"), "something leads somewhere"

        overflow = browser.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"at {width} the page is {overflow} wider than the screen"
        tree = accessible(browser)
        roles = {role for role, _ in tree}
        for role in ["slider", "table", "button", "heading", "image", "columnheader"]:
            assert role in roles, f"no {role} in {sorted(roles)}"
        assert all(name for role, name in tree if role in ("slider", "button", "image"))

        wrong = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not wrong, wrong
    print(f"{page.stem}: {last + 1} rows, at {DESK[0]} and {PHONE[0]} wide")


def main():
    pages = sorted(pathlib.Path(sys.argv[1]).glob("*.html"))
    shots = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    assert pages, "there are pages"
    browser = open_browser()
    try:
        for page in pages:
            check(browser, page, shots)
    finally:
        browser.quit()
    print(f"{len(pages)} passed, 0 failed")


main()
