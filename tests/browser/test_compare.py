"""The compare page in a real browser, with the shipped systems and methods."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from playwright.sync_api import expect
from taking import settled, taken
from themes import pale_in_each

from core.datasets import find_folder, load_table
from core.explain import METHODS
from core.png import png

PAGE = "compare"
PATIENCE = 240_000  # ms, for methods that take their time on a busy machine
STATE = """() => {
  const chart = [...document.querySelectorAll('.js-plotly-plot')].at(-1);
  const axes = Object.entries(chart._fullLayout).filter(([name]) => /^[xy]axis/.test(name));
  const of = (letter) => axes.filter(([name]) => name[0] === letter).map(([, a]) => a.range);
  const overlays = chart._fullData.filter((trace) => trace.type === 'heatmap');
  return {x: of('x'), y: of('y'), opacities: overlays.map((trace) => trace.opacity)};
}"""


@pytest.fixture
def compare(page):
    return ready(page)


def ready(page):
    maps(page).wait_for()
    return page


def maps(page):
    return page.get_by_role("figure", name=re.compile("as linked pictures"))


def pill(page, method_id: str):
    return page.get_by_role("button", name=re.compile(f"^{re.escape(METHODS[method_id].name)}"))


def stop(page):
    return page.get_by_test_id("stMain").get_by_role("button", name="Stop")


def described(page) -> str:
    return maps(page).get_attribute("aria-label")


def of_cost(cost: str) -> str:
    found = [name for name, method in METHODS.items() if method.cost == cost]
    return found[0] if found else pytest.skip(f"no method costs {cost}")


def test_instant_methods_are_there_at_once_and_measured(compare):
    instant = [method.name for method in METHODS.values() if method.cost == "instant"][:3]
    assert all(f"{name} strongest" in described(compare) for name in instant)
    assert "Grad-CAM" in maps(compare).inner_text()
    assert "IoU" in maps(compare).inner_text()
    compare.get_by_label(re.compile("how well each map lies on the lesion")).first.wait_for()
    expect(compare.get_by_role("alert")).to_have_count(0)


def test_all_pictures_zoom_together_and_the_slider_keeps_the_view(compare):
    # A script run that is still going on would draw the figure anew, with its first view.
    settled(compare)
    compare.wait_for_timeout(1000)
    whole = compare.evaluate(STATE)
    box = maps(compare).bounding_box()
    compare.mouse.move(box["x"] + 80, box["y"] + 180)
    compare.mouse.wheel(0, -500)
    compare.wait_for_function(
        f"(whole) => Math.abs(({STATE})().x[0][1] - whole) > 5", arg=whole["x"][0][1]
    )
    compare.wait_for_timeout(500)  # Plotly settles a zoom shortly after the wheel's last turn
    zoomed = compare.evaluate(STATE)
    assert len(zoomed["x"]) > 3
    assert np.allclose(zoomed["x"], zoomed["x"][0])
    assert np.allclose(zoomed["y"], zoomed["y"][0])

    slider = maps(compare).locator(".slider-rail-touch-rect").bounding_box()
    compare.mouse.click(slider["x"] + slider["width"] - 12, slider["y"] + slider["height"] / 2)
    compare.wait_for_function(f"() => ({STATE})().opacities.every((one) => one > 0.85)")
    assert np.allclose(compare.evaluate(STATE)["x"], zoomed["x"])


@pytest.mark.slow
def test_a_slow_method_fills_in_while_the_others_stand(compare):
    name = of_cost("seconds")
    pill(compare, name).click()
    compare.wait_for_function(f"() => document.body.innerText.includes('{METHODS[name].name} on')")
    assert "Grad-CAM strongest" in described(compare)
    stop(compare).wait_for(state="detached", timeout=PATIENCE)
    assert "waiting" not in described(compare)
    assert f"{METHODS[name].name} (" in described(compare) or (
        f"{METHODS[name].name} strongest" in described(compare)
    )


def test_a_long_computation_can_be_stopped(compare):
    name = of_cost("minutes")
    pill(compare, name).click()
    stop(compare).click()
    stop(compare).wait_for(state="detached", timeout=PATIENCE)
    compare.wait_for_function(
        "() => [...document.querySelectorAll('.annotation-text')].every("
        "(one) => !one.textContent.includes('waiting'))"
    )
    assert f"{METHODS[name].name} (stopped)" in described(compare)
    assert "Grad-CAM strongest" in described(compare)
    compare.get_by_test_id("stMain").get_by_role("button", name="Go on").click()
    stop(compare).click(timeout=PATIENCE)  # one click is enough, again
    stop(compare).wait_for(state="detached", timeout=PATIENCE)
    assert f"{METHODS[name].name} (stopped)" in described(compare)


def test_another_class_is_explained(compare):
    compare.get_by_role("radio", name="benign").click()
    compare.get_by_role("figure", name=re.compile("Heatmaps for benign,")).wait_for()
    compare.get_by_role("combobox", name="Rather than").click()
    compare.get_by_role("option", name="vs malignant").click()
    wanted = re.compile("Heatmaps for benign rather than malignant,")
    compare.get_by_role("figure", name=wanted).wait_for()


def test_figure_maps_and_table_can_be_taken_away(compare):
    assert taken(compare, "Figure (PNG)")[:8] == b"\x89PNG\r\n\x1a\n"
    archive = np.load(io.BytesIO(taken(compare, "Maps (NPZ)")), allow_pickle=False)
    assert archive["lesion"].any()
    assert any(name.endswith(".grad-cam") for name in archive)
    head = taken(compare, "Table (CSV)").decode().splitlines()[0]
    assert {"system", "method", "score", "iou"} <= set(head.split(","))


@pytest.mark.slow
def test_text_is_readable_in_both_themes(compare):
    compare.get_by_text("What these methods are").click()
    compare.get_by_text("Most turn features").wait_for()
    assert list(pale_in_each(compare)) == [[], []]


def test_a_scan_of_busi_is_measured_against_its_mask(compare, data_folder, tmp_path):
    if find_folder("busi") is None:
        pytest.skip("BUSI is not in the data folder")
    from core.datasets import read_mask

    row = next(one for one in load_table("busi").itertuples() if one.masks)
    mask = tmp_path / "mask.png"
    mask.write_bytes(png(np.repeat(read_mask(row)[..., None], 3, axis=2).astype(np.uint8) * 255))
    compare.locator("input[type=file]").first.set_input_files(row.path)
    compare.get_by_text("Mask of its lesion").wait_for()
    compare.wait_for_function("() => !document.body.innerText.includes('IoU')")
    compare.locator("input[type=file]").nth(1).set_input_files(mask)
    compare.wait_for_function(
        "() => [...document.querySelectorAll('.annotation-text')].some("
        "(one) => one.textContent.includes('IoU'))"
    )
    expect(compare.get_by_role("alert")).to_have_count(0)


@pytest.mark.slow
def test_a_lesion_drawn_by_hand_is_measured(compare):
    compare.get_by_role("combobox", name="Or a synthetic sample").click()
    compare.get_by_role("option", name="Normal phantom 1").click()
    compare.wait_for_function("() => !document.body.innerText.includes('IoU')")
    toggle = compare.get_by_text("Draw the lesion")
    expect(toggle).to_have_count(1)  # that of the other scan stands until this one is there
    toggle.click()
    scan = compare.get_by_role("figure", name=re.compile("on which the lesion can be drawn"))
    box = scan.locator(".nsewdrag").first.bounding_box()
    x, y, side = box["x"] + 60, box["y"] + 60, 120
    compare.mouse.move(x, y)
    compare.mouse.down()
    for right, down in ((side, 0), (side, side), (0, side), (0, 0)):
        compare.mouse.move(x + right, y + down, steps=8)
    compare.mouse.up()
    measured = "(one) => one.textContent.includes('IoU')"
    found = f"() => [...document.querySelectorAll('.annotation-text')].some({measured})"
    compare.wait_for_function(found)
    archive = np.load(io.BytesIO(taken(compare, "Maps (NPZ)")), allow_pickle=False)
    drawn = archive["lesion"]
    # The square that was drawn, in pixels of the scan.
    side_in_pixels = side * drawn.shape[0] / box["height"]
    assert drawn.sum() == pytest.approx(side_in_pixels**2, rel=0.1)
    expect(compare.get_by_role("alert")).to_have_count(0)


@pytest.mark.slow
def test_deletion_and_insertion_come_when_they_are_asked_for(compare):
    pill(compare, "grad-cam-plus-plus").click()
    compare.get_by_text("Deletion and insertion").click()
    told = "(one) => one.textContent.includes('insertion')"
    found = f"() => [...document.querySelectorAll('.annotation-text')].filter({told}).length"
    compare.wait_for_function(f"() => ({found})() >= 3", timeout=PATIENCE)
    expect(compare.get_by_role("alert")).to_have_count(0)
