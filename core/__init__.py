"""LesionLens: train, load, judge and explain breast-image classifiers."""

from __future__ import annotations

import os

__version__ = "1.0.0"
"""Of LesionLens, told in whatever it makes that is taken away."""

# TensorFlow reads these when it is first imported, which happens much later: quiet start-up,
# and Keras on TensorFlow whatever a user's keras.json says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

# PyTorch's threads wait for each other after every layer. While they spin, a second session, or any
# other process, keeps the one that they wait for from running: on two busy cores a scan took 0.76 s
# of a core's time, and 0.12 s with threads that sleep instead.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# PyTorch asks for new memory for the answer of every layer. Where Linux leaves it to the program,
# that of larger ones then comes in pages of 2 MB, and not of 4 kB which are fetched one by one: 64
# scans through EfficientNet-B0 took 2.1 s in place of 3.5, and no more memory.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
