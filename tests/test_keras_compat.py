"""Keras networks are built while Streamlit, in another thread, is done with a page."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from streamlit.runtime.scriptrunner import script_runner

from core.checkpoints import list_trained, open_checkpoint


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something done whenever a network is about to name one of its weights."""

    def arrange(act) -> None:
        make = keras.Variable.__init__

        def make_slowly(variable, *args, **kwargs) -> None:
            act()
            make(variable, *args, **kwargs)

        monkeypatch.setattr(keras.Variable, "__init__", make_slowly)

    return arrange


@pytest.fixture
def keras_system() -> str:
    for name in list_trained():
        if open_checkpoint(name).recipe.architecture.framework == "keras":
            return name
    return pytest.skip("no trained Keras network is here")


@pytest.mark.slow
def test_a_page_that_ends_does_not_disturb_a_network_that_is_loaded(keras_system, meanwhile):
    open_checkpoint(keras_system).load()  # Keras is there, as on a server
    ended = []
    meanwhile(lambda: ended.append(script_runner._clean_problem_modules()))
    classifier = open_checkpoint(keras_system).load()
    assert ended
    size = classifier.recipe.preprocessing.size
    assert np.isfinite(classifier.logits(np.zeros((1, *size, 3), np.float32))).all()


def test_what_streamlit_would_do_to_it(keras_system, meanwhile):
    """Why ``keep_session`` is there; should this fail, it can go."""
    meanwhile(lambda: keras.utils.clear_session(free_memory=False))
    with pytest.raises((ValueError, IndexError)):
        open_checkpoint(keras_system).load()
