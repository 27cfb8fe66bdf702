"""The learn page in a real browser, with the shipped systems."""

from __future__ import annotations

import re

import pytest
from conftest import open_page
from playwright.sync_api import expect
from themes import WHITE, pale, pale_in_each

PAGE = "learn"


def ready(page):
    trial(page).wait_for()
    return page


def trial(page):
    return page.get_by_role("figure", name=re.compile("while the scan is hidden"))


@pytest.fixture
def learn(page):
    return ready(page)


def test_the_sum_grows_with_the_slider(learn):
    """One channel alone, then, at the end of the slider, all of them: the whole map."""
    slider = learn.get_by_role("slider", name="Channels added")
    one = learn.get_by_role("img", name=re.compile("^1 correlation"))
    one.wait_for()
    slider.focus()
    slider.press("End")
    whole = learn.get_by_role("img", name=re.compile("correlation with the sum of all: 1.00$"))
    whole.wait_for()
    expect(one).to_have_count(0)
    expect(learn.get_by_role("alert")).to_have_count(0)


@pytest.mark.slow
def test_another_method_and_another_class(learn):
    learn.get_by_role("radio", name="DT-Grad-CAM").click()
    learn.get_by_role("heading", name="3. A threshold is found").wait_for()
    learn.get_by_role("figure", name=re.compile("threshold at 0")).wait_for()
    learn.get_by_role("radio", name="benign", exact=True).click()
    learn.get_by_role("figure", name=re.compile("^Probability of benign")).wait_for()
    expect(learn.get_by_role("alert")).to_have_count(0)


@pytest.mark.slow
def test_a_lesson_is_shared_by_its_address(learn):
    learn.get_by_role("radio", name="Eigen-CAM", exact=True).click()
    expect(learn).to_have_url(re.compile(r"learn\+method=Eigen-CAM$"))
    other = learn.context.new_page()
    other.goto(learn.url)
    chosen = other.get_by_role("radio", name="Eigen-CAM", exact=True)
    expect(chosen).to_be_checked()
    other.close()


@pytest.mark.slow
def test_pictures_stand_three_in_a_row_on_a_laptop(learn):
    first = learn.get_by_role("img", name=re.compile("^channel"))
    tops = [first.nth(at).bounding_box()["y"] for at in range(6)]
    assert tops[0] == tops[1] == tops[2] < tops[3] == tops[4] == tops[5]


@pytest.mark.slow
def test_text_is_readable_in_both_themes(learn):
    assert list(pale_in_each(learn)) == [[], []]


@pytest.mark.slow
def test_a_page_that_opens_in_the_dark_is_readable(browser, address):
    with open_page(browser, address, "dark") as page:
        ready(page)
        expect(page.get_by_test_id("stApp")).not_to_have_css("background-color", WHITE)
        assert pale(page) == []
