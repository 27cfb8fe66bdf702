"""How a map comes about, step by step, on the very scan: what a teacher shows.

A lesson is a function over a ``Scene``. Each ends in the map that the method itself gives.
"""

from core.lessons.dt_grad_cam import dt_grad_cam
from core.lessons.eigen_cam import eigen_cam
from core.lessons.grad_cam import grad_cam
from core.lessons.score_cam import score_cam
from core.lessons.step import Bars, Lesson, Picture, Scene, Step
from core.lessons.trial import Trial, trial

LESSONS: dict[str, Lesson] = {
    "grad-cam": grad_cam,
    "eigen-cam": eigen_cam,
    "fast-score-cam": score_cam,
    "dt-grad-cam": dt_grad_cam,
}
"""By the method in ``core.explain.METHODS`` whose map the lesson ends in."""

__all__ = ["LESSONS", "Bars", "Lesson", "Picture", "Scene", "Step", "Trial", "trial"]
