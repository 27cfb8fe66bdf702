"""LesionLens: train, load, judge and explain breast-image classifiers."""

from __future__ import annotations

import os

# TensorFlow reads these when it is first imported, which happens much later: quiet start-up,
# and Keras on TensorFlow whatever a user's keras.json says.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"
