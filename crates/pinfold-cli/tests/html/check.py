"""Looks at pages of `pinfold explain --html` and `matrix --html` in a headless Chromium."""

import pathlib
import sys

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

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
        seen, whens = {first}, set()
        for at in range(1, last + 1):
            slider.send_keys(Keys.ARROW_RIGHT)
            assert int(slider.get_attribute("value")) == at
            current = browser.find_elements(By.CSS_SELECTOR, "tr[aria-current]")
            assert [row.get_attribute("id") for row in current] == [f"row{at}"]
            seen.add(said())
            whens.add(browser.find_element(By.ID, "when").text)
            interrupted = browser.find_element(By.ID, "open").text
            assert not interrupted or " is interrupted by step " in interrupted, interrupted
            if interrupted:
                row = int(interrupted.split("goes on in row ")[1].split(";")[0])
                assert row > at + 1, (row, at)
            if shots and at == last // 2:
                browser.save_screenshot(str(shots / f"{page.stem}-{width}-half.png"))
        assert len(seen) > last // 2, "rows say different things"
        assert {"The picture: within the step.", "The picture: at the end of the step."} <= whens, whens
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


# Pages on which a CPU goes on with a translation that the entry no longer says.
STALE = {"local-flush-copy"}


def check_stale(browser, page):
    """A stale translation is marked: by a word in its box and by a line of its own, and told."""
    size(browser, *DESK)
    browser.get(page.as_uri())
    slider = browser.find_element(By.ID, "row")
    slider.send_keys(Keys.HOME)
    marked = 0
    for _ in range(int(slider.get_attribute("max")) + 1):
        boxes = browser.find_elements(By.CSS_SELECTOR, "#drawing svg g.stale")
        lines = browser.find_elements(By.CSS_SELECTOR, "#drawing svg path.stale")
        words = browser.find_elements(By.CSS_SELECTOR, "#words li")
        told = [one for one in words
                if "which the entry no longer says" in one.get_attribute("textContent")]
        assert len(boxes) == len(lines) == len(told), (len(boxes), len(lines), len(told))
        assert all("STALE" in one.get_attribute("textContent") for one in boxes)
        marked += len(boxes) > 0
        slider.send_keys(Keys.ARROW_RIGHT)
    wanted = page.stem in STALE
    assert (marked > 0) == wanted, f"{page.stem}: {marked} rows have a stale translation"
    print(f"{page.stem}: {marked} rows with a stale translation")


def focused(browser):
    """The row and the column of the cell that has the focus, or None outside the table."""
    return browser.execute_script("""
        const cell = document.activeElement.closest("#grid td, #grid th");
        return cell && [cell.parentNode.rowIndex, cell.cellIndex];""")


def press(browser, *keys):
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def check_history(browser, page, shots):
    """A table of cells, of which those that break open their execution."""
    for width, height in [DESK, PHONE]:
        size(browser, width, height)
        browser.get("about:blank")
        browser.get(page.as_uri())
        buttons = browser.find_elements(By.CSS_SELECTOR, "#grid button")
        bad = browser.find_elements(By.CSS_SELECTOR, "#grid td.bad")
        assert len(buttons) == len(bad) > 3, (len(buttons), len(bad))
        assert all("BAD" in one.text for one in bad), "a word says it, not a colour"
        assert any(one.text == "ok" for one in browser.find_elements(By.CSS_SELECTOR, "#grid td"))
        if shots:
            browser.save_screenshot(str(shots / f"{page.stem}-{width}.png"))

        # What is wider than the screen scrolls in a box of its own; names stay.
        overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(overflow) <= 0, f"the page is wider than {width}"
        left = lambda: browser.execute_script(
            "return document.querySelector('#grid tbody th').getBoundingClientRect().left")
        before = left()
        scrolled = browser.execute_script("""
            const box = document.querySelector(".grid");
            box.scrollLeft = 1e6;
            return box.scrollLeft;""")
        assert left() == before, "the names stick"
        assert width > 600 or scrolled > 50, "a phone has to scroll"
        browser.execute_script("document.querySelector('.grid').scrollLeft = 0")

        # By keyboard alone: Tab to the first cell that opens, arrows to its neighbours.
        for _ in range(4):
            if browser.switch_to.active_element == buttons[0]:
                break
            press(browser, Keys.TAB)
        assert browser.switch_to.active_element == buttons[0], "Tab reaches the first that breaks"
        row, column = focused(browser)
        press(browser, Keys.ARROW_RIGHT)
        assert focused(browser) == [row, column + 1]
        press(browser, Keys.ARROW_DOWN)
        assert focused(browser) == [row + 1, column + 1]
        press(browser, Keys.ARROW_LEFT, Keys.ARROW_UP)
        assert focused(browser) == [row, column]
        # The cell that has the focus is seen, whatever sticks.
        for _ in range(30):
            press(browser, Keys.ARROW_RIGHT)
        for _ in range(30):
            press(browser, Keys.ARROW_LEFT)
            hidden = browser.execute_script("""
                const cell = document.activeElement.closest("td, th");
                const at = cell.getBoundingClientRect();
                const name = cell.parentNode.cells[0].getBoundingClientRect();
                return cell.cellIndex > 0 && at.left < name.right;""")
            assert not hidden, "a cell is behind the names"
        assert focused(browser)[1] == 0

        # Enter opens, Escape closes and leaves the focus where it was; each opens its own.
        for button in [buttons[0], buttons[-1]]:
            button.send_keys(Keys.ENTER)
            which = browser.find_element(By.ID, "which").text
            cell = button.get_attribute("data-cell")
            assert which == cell.replace("/", " under ", 1), (which, cell)
            assert cell.split("/")[0] in browser.find_element(By.CSS_SELECTOR, "#content h1").text
            rows = browser.find_elements(By.CSS_SELECTOR, "#content tbody tr")
            slider = browser.find_element(By.ID, "row")
            assert len(rows) == int(slider.get_attribute("max")) + 1 > 5
            slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
            current = browser.find_elements(By.CSS_SELECTOR, "tr[aria-current]")
            assert [one.get_attribute("id") for one in current] == ["row1"]
            slider.send_keys(Keys.END)
            boxes = browser.find_elements(By.CSS_SELECTOR, "#drawing svg rect")
            words = browser.find_elements(By.CSS_SELECTOR, "#words li")
            assert len(boxes) == len(words) > 1, (len(boxes), len(words))
            inside = browser.execute_script("""
                const dialog = document.getElementById("run");
                return dialog.scrollWidth - dialog.clientWidth;""")
            assert inside <= 0, f"at {width} the execution is {inside} wider than its box"
            dialogs = [name for role, name in accessible(browser) if role == "dialog"]
            assert dialogs == [which], dialogs
            linked = browser.current_url
            if shots:
                browser.save_screenshot(str(shots / f"{page.stem}-{width}-open.png"))
            slider.send_keys(Keys.ESCAPE)
            assert not browser.find_elements(By.CSS_SELECTOR, "dialog[open]"), "Escape closes"
            assert browser.switch_to.active_element == button, "the focus is where it was"
            # The page learns of it by an event of its own.
            WebDriverWait(browser, 10).until(lambda _: "#" not in browser.current_url)
        browser.get("about:blank")
        browser.get(linked)
        assert browser.find_element(By.ID, "which").text == which, "a link opens its cell"
        browser.find_element(By.ID, "close").send_keys(Keys.ENTER)
        assert not browser.find_elements(By.CSS_SELECTOR, "dialog[open]"), "the button closes"

        tree = accessible(browser)
        roles = {role for role, _ in tree}
        for role in ["table", "columnheader", "rowheader", "cell", "button", "region", "heading"]:
            assert role in roles, f"no {role} in {sorted(roles)}"
        assert ("table", "Scenarios by rules") in tree
        told = [name for role, name in tree if role == "button"]
        assert told and all(name.startswith("BAD: ") and " under " in name for name in told), told
        wrong = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not wrong, wrong
    print(f"{page.stem}: {len(buttons)} cells open, at {DESK[0]} and {PHONE[0]} wide")


def contrast(browser, page):
    """Words are read on their ground in light and dark: at least 4.5 to 1."""
    worst = """
        const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        const light = (rgb) => rgb.map(channel).reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
        const parsed = (text) => text.match(/[\d.]+/g).map(Number);
        const ground = (element) => {
            for (let at = element; at; at = at.parentElement) {
                const [r, g, b, a = 1] = parsed(getComputedStyle(at).backgroundColor);
                if (a > 0) return [r, g, b];
            }
            return parsed(getComputedStyle(document.body).backgroundColor).slice(0, 3);
        };
        let least = 21;
        for (const element of document.querySelectorAll("body *:not(svg, svg *, script)")) {
            const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
            if (!own || !element.getClientRects().length) continue;
            const lights = [ground(element), parsed(getComputedStyle(element).color).slice(0, 3)].map(light);
            least = Math.min(least, (Math.max(...lights) + .05) / (Math.min(...lights) + .05));
        }
        return least;"""
    size(browser, *DESK)
    for scheme in ["light", "dark"]:
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_feature]})
        browser.get(page.as_uri())
        least = browser.execute_script(worst)
        assert least >= 4.5, f"{page.stem} in {scheme}: a contrast of {least:.2f}"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def main():
    pages = sorted(pathlib.Path(sys.argv[1]).glob("*.html"))
    shots = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    assert pages, "there are pages"
    browser = open_browser()
    try:
        for page in pages:
            looks = check_history if page.stem.startswith("history") else check
            looks(browser, page, shots)
            contrast(browser, page)
            if looks is check:
                check_stale(browser, page)
    finally:
        browser.quit()
    print(f"{len(pages)} passed, 0 failed")


main()
