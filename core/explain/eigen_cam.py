"""Eigen-CAM (Bany Muhammad and Yeasin, IJCNN 2020)."""

from __future__ import annotations

import numpy as np

from core.classifiers.base import Classifier, Target
from core.explain.gradients import own_channels
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import Method, Progress, portion

NO_COMPONENT = "The features are the same everywhere in the scan: there is no first component."

# A first component with a smaller share of the features' energy is rounding error.
NEGLIGIBLE = 1e-12


def eigen_cam(
    classifier: Classifier,
    batch: np.ndarray | None,
    target: Target,
    layer: str | None = None,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Projection of the features on their first principal component, cut at 0.

    It shows what stands out, whatever the class: ``target`` changes nothing. Arguments as in
    ``grad_cam``; ``maximum`` is in the unit of the features.

    The paper writes ``A V_1`` with ``A = U S V^T``. Each channel is centred first, as in the
    grad-cam package: without it the first vector is little more than the mean picture. A
    singular vector has no sign of its own; here the map grows with the mean activation.
    """
    if features is None:
        features = classifier.features(batch, layer)
    logits, _ = classifier.head(features, target, layer)
    (own,) = own_channels(classifier, layer, features)
    raw = map(first_component, own)
    explanation = Explanation(tuple(positive_part(one, NO_COMPONENT) for one in raw), logits)
    portion(progress, 0, 1)(1.0)
    return explanation


def first_component(features: np.ndarray) -> np.ndarray:
    """Signed projection (h, w) of features (h, w, K); NaN if they are not finite."""
    if not np.isfinite(features).all():
        return np.full(features.shape[:2], np.nan)
    flat = features.reshape(-1, features.shape[-1])
    centred = flat - flat.mean(axis=0)
    projection = _project(centred)
    if projection @ projection <= NEGLIGIBLE * np.square(flat).sum():
        return np.zeros(features.shape[:2])
    return (_sign(projection, centred) * projection).reshape(features.shape[:2])


def _project(centred: np.ndarray) -> np.ndarray:
    """``A v_1`` by way of the smaller of ``A A^T`` (49 x 49 for 7 x 7 places) and ``A^T A``."""
    places, channels = centred.shape
    if places > channels:
        return centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    values, vectors = np.linalg.eigh(centred @ centred.T)
    return np.sqrt(max(values[-1], 0)) * vectors[:, -1]


def _sign(projection: np.ndarray, centred: np.ndarray) -> float:
    """+1 if the projection grows with the mean activation.

    Where it is unrelated to it, what stands out most is positive.
    """
    mean = centred.mean(axis=1)
    agreement = projection @ mean
    if abs(agreement) <= 1e-6 * np.linalg.norm(projection) * np.linalg.norm(mean):
        agreement = projection[np.abs(projection).argmax()]
    return 1.0 if agreement >= 0 else -1.0


METHOD = Method(
    id="eigen-cam",
    name="Eigen-CAM",
    paper="Bany Muhammad and Yeasin, IJCNN 2020",
    equation=r"L = \mathrm{ReLU}(\bar{A} v_1), \quad \bar{A} = U \Sigma V^\top",
    cost="instant",
    run=eigen_cam,
)
