"""Let Keras networks be built while Streamlit serves pages.

At the end of every run of any page Streamlit calls ``keras.backend.clear_session``. That replaces
the global state of Keras under the hands of all threads: a network that another one is building
loses the names of some weights and cannot take its own. It also searches all objects of the process
for garbage. The networks of LesionLens stay; nothing in it wants that state cleared.
"""

from __future__ import annotations

import keras


def keep_session() -> None:
    """Have ``keras.backend.clear_session`` do nothing from now on; ``keras.utils.clear_session``,
    the same function, stays as it is."""
    keras.backend.clear_session = _nothing


def _nothing(free_memory: bool = True) -> None:
    """What Streamlit calls instead."""
