"""The data page in a real browser: phantoms, an upload, and BUSI where it is present."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect
from taking import taken
from themes import pale_in_each

from core.datasets import find_folder
from core.datasets.phantoms import phantom
from core.png import png

PAGE = "data"
PATIENCE = 240_000  # ms, for what looks at every image of a set on a busy machine


@pytest.fixture
def data(page):
    return ready(page)


def ready(page):
    expect(page.get_by_role("heading", name="Phantoms (synthetic)")).to_be_visible()
    return page


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=re.compile(name)).click()


def figure(page, name: str):
    return page.get_by_role("figure", name=re.compile(f"^{name}"))


@pytest.fixture
def upload(tmp_path) -> Path:
    """Three images, two of them the same under two labels."""
    path = tmp_path / "own.zip"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, seed in (("benign/1", 1), ("benign/2", 2), ("malignant/3", 1)):
            archive.writestr(f"{name}.png", png(phantom("benign", seed, 128)[0]))
    path.write_bytes(stream.getvalue())
    return path


@pytest.mark.slow
def test_counts_are_there_before_the_images_are_measured(data):
    expect(figure(data, "Images a class")).to_be_visible()
    expect(figure(data, "Shares")).to_be_visible()
    expect(figure(data, "Lesion areas")).to_be_visible(timeout=PATIENCE)
    expect(data.get_by_role("alert")).to_have_count(0)


@pytest.mark.slow
def test_text_is_readable_in_both_themes(data):
    tab(data, "Intensity")
    expect(data.get_by_role("heading", name="Do the classes differ?")).to_be_visible(
        timeout=PATIENCE
    )
    expect(figure(data, "Spread")).to_be_visible()
    assert list(pale_in_each(data)) == [[], []]


@pytest.mark.slow
def test_an_uploaded_folder_is_audited_and_its_pair_enlarged(data, upload):
    data.locator("input[type=file]").first.set_input_files(upload)
    expect(data.get_by_role("heading", name="own.zip")).to_be_visible()
    tab(data, "Leakage")
    expect(data.get_by_text("1 pair, the most alike first.")).to_be_visible(timeout=PATIENCE)
    expect(data.get_by_text("two labels", exact=True)).to_be_visible()
    expect(data.get_by_role("img", name="benign/1, benign")).to_be_visible()
    expect(data.get_by_role("img", name="malignant/3, malignant")).to_be_visible()
    data.get_by_role("button", name="malignant/3", exact=True).click()
    expect(data.get_by_role("dialog").get_by_text("128 x 128 pixels")).to_be_visible()


@pytest.mark.slow
def test_thumbnails_are_filtered_and_enlarged_with_their_outline(data):
    tab(data, "Browse")
    expect(data.get_by_text("180 of 180 images")).to_be_visible()
    data.get_by_role("combobox", name="Class").click()
    data.get_by_role("option", name="malignant").click()
    expect(data.get_by_text("60 of 180 images")).to_be_visible()
    data.get_by_role("button", name="malignant/phantom 0000", exact=True).click()
    enlarged = data.get_by_role("dialog").get_by_role("figure", name=re.compile("outlined"))
    expect(enlarged).to_be_visible()
    expect(enlarged.locator(".scatterlayer path.js-line")).to_have_count(1)


@pytest.mark.slow
def test_a_table_can_be_taken_away(data):
    head = taken(data, "Table (CSV)").decode("utf-8").splitlines()[0]
    assert head.startswith("Class,Images,Groups")


@pytest.mark.slow
def test_a_system_is_asked_about_an_upload_and_a_mistake_explained(data, upload):
    data.locator("input[type=file]").first.set_input_files(upload)
    expect(data.get_by_role("heading", name="own.zip")).to_be_visible()
    tab(data, "Test a system")
    data.get_by_role("button", name="Ask about 3 images").click()
    expect(figure(data, "Confusion matrix: ")).to_be_visible(timeout=PATIENCE)
    expect(data.get_by_text("3 images, 2 groups.")).to_be_visible()
    for pale in pale_in_each(data):
        # The uploader's plus is a sign and no text; signs need 3.
        assert [text for text in pale if text != "add icon"] == []
    # One picture has two labels, so that one of the answers is wrong, whatever the system says.
    data.get_by_role("button", name="Explain").first.click()
    data.get_by_role("figure", name=re.compile("as linked pictures")).wait_for()
    expect(data.get_by_text("The scan from before")).to_be_visible()


@pytest.mark.slow
def test_busi_shows_what_its_papers_and_its_readers_say(data, data_folder):
    if find_folder("busi") is None:
        pytest.skip("BUSI is not in the data folder")
    data.get_by_role("combobox", name="Data set").click()
    data.get_by_role("option", name=re.compile("^BUSI: ")).click()
    expect(data.get_by_text("benign (437), malignant (210), normal (133)")).to_be_visible(
        timeout=PATIENCE
    )
    tab(data, "Intensity")
    expect(data.get_by_role("heading", name="Beside the paper")).to_be_visible(timeout=PATIENCE)
    tab(data, "Leakage")
    expect(data.get_by_text("in 158 groups")).to_be_visible(timeout=PATIENCE)
    data.get_by_role("radio", name="Under two labels").click()
    expect(data.get_by_text("11 pairs, the most alike first.")).to_be_visible()
