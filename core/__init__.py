"""LesionLens: train, load, judge and explain breast-image classifiers."""

from __future__ import annotations

import os

# TensorFlow reads these when it is first imported, which happens much later: quiet start-up,
# and Keras on TensorFlow whatever a user's keras.json says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

# PyTorch's threads wait for each other after every layer. While they spin, a second session, or any
# other process, keeps the one that they wait for from running: on two busy cores a scan took 0.76 s
# of a core's time, and 0.12 s with threads that sleep instead.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
