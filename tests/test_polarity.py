"""Negatives are set right, in training and in the browser alike."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.polarity import is_inverted, normalise_polarity
from core.preprocessing import fit, shown
from core.recipes import load_recipe

BREAST = np.zeros((50, 40, 3), np.uint8)
BREAST[10:40, :25] = 180  # tissue that touches one side; the rest is air


def test_the_air_is_dark_afterwards():
    assert not is_inverted(BREAST)
    assert is_inverted(255 - BREAST)
    assert np.array_equal(normalise_polarity(255 - BREAST), BREAST)
    assert np.array_equal(normalise_polarity(BREAST), BREAST)


def test_a_recipe_that_asks_for_it_sees_the_same_whichever_way_round():
    plain = load_recipe("busi-mobilenetv2").preprocessing
    asking = plain.model_copy(update={"polarity": "dark_air"})
    assert np.array_equal(fit(255 - BREAST, asking), fit(BREAST, asking))
    assert np.array_equal(fit(BREAST, asking), fit(BREAST, plain))
    assert not np.array_equal(fit(255 - BREAST, plain), fit(BREAST, plain))
    assert np.array_equal(shown(255 - BREAST, asking), BREAST)
    assert np.array_equal(shown(255 - BREAST, plain), 255 - BREAST)


@pytest.mark.parametrize("polarity", ["any", "dark_air"])
def test_it_is_part_of_the_method_only_where_it_is_asked_for(polarity):
    recipe = load_recipe("busi-mobilenetv2")
    preprocessing = recipe.preprocessing.model_copy(update={"polarity": polarity})
    method = recipe.model_copy(update={"preprocessing": preprocessing}).method()
    assert ("polarity" in json.dumps(method)) == (polarity == "dark_air")
