"""The same maps as others make them: the `grad-cam` package, and Keras as tutorials write it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.classifiers import Classifier
from core.torch_compat import import_timm

Explain = Callable[[np.ndarray], np.ndarray]
"""From a batch of one image to a map of the likeliest class or of class 0."""

BATCH = 16


def name(classifier: Classifier) -> str:
    """Who the peer is."""
    return {"torch": "grad-cam", "keras": "plain TensorFlow"}[_framework(classifier)]


def grad_cam(classifier: Classifier) -> Explain:
    """Grad-CAM of the likeliest class, (h, w) of the peer's size."""
    make = {"torch": _package_grad_cam, "keras": _tape_grad_cam}[_framework(classifier)]
    return make(classifier)


def score_cam(classifier: Classifier) -> Explain:
    """Exact Score-CAM of class 0."""
    make = {"torch": _package_score_cam, "keras": _plain_score_cam}[_framework(classifier)]
    return make(classifier)


def _framework(classifier: Classifier) -> str:
    return classifier.recipe.architecture.framework


def _package_grad_cam(classifier: Classifier) -> Explain:
    import torch

    cam = _package("GradCAM", classifier)

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.enable_grad():
            return cam(input_tensor=_tensor(batch).requires_grad_(), targets=None)[0]

    return run


def _package_score_cam(classifier: Classifier) -> Explain:
    cam = _package("ScoreCAM", classifier)
    cam.batch_size = BATCH
    return lambda batch: cam(input_tensor=_tensor(batch), targets=[lambda logits: logits[0]])[0]


def _package(method: str, classifier: Classifier):
    import_timm()
    import pytorch_grad_cam

    network = classifier._network
    layers = [network.stages[network.stage_names[-1]]]
    return getattr(pytorch_grad_cam, method)(model=network, target_layers=layers)


def _tensor(batch: np.ndarray):
    import torch

    return torch.tensor(batch).permute(0, 3, 1, 2).contiguous()


def _tape_grad_cam(classifier: Classifier) -> Explain:
    """One eager tape over all of the network."""
    import tensorflow as tf

    model = _with_features(classifier)

    def run(batch: np.ndarray) -> np.ndarray:
        with tf.GradientTape() as tape:
            features, logits = model(tf.constant(batch), training=False)
            score = tf.reduce_max(logits[0])
        weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2))
        return tf.nn.relu(tf.reduce_sum(features * weights[:, None, None], axis=-1))[0].numpy()

    return run


def _plain_score_cam(classifier: Classifier) -> Explain:
    """Enlarge, scale, mask, predict, softmax."""
    import tensorflow as tf

    model = _with_features(classifier)

    def run(batch: np.ndarray) -> np.ndarray:
        features = model(tf.constant(batch), training=False)[0]
        masks = tf.image.resize(features, batch.shape[1:3])[0]
        low, high = tf.reduce_min(masks, axis=(0, 1)), tf.reduce_max(masks, axis=(0, 1))
        masks = tf.transpose((masks - low) / (high - low + 1e-8), (2, 0, 1))[..., None]
        parts = (masks[start : start + BATCH] for start in range(0, len(masks), BATCH))
        scores = [model(batch * part, training=False)[1][:, 0] for part in parts]
        weights = tf.nn.softmax(tf.concat(scores, axis=0))
        return tf.nn.relu(tf.reduce_sum(features[0] * weights, axis=-1)).numpy()

    return run


def _with_features(classifier: Classifier):
    import keras

    network = classifier._network
    layer = network.model.get_layer(network.stages[network.stage_names[-1]])
    return keras.Model(network.model.inputs, [layer.output, network.model.outputs[0]])
