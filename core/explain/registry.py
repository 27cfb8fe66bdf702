"""All methods, in the order in which a page shows them."""

from __future__ import annotations

from core.explain.ablation_cam import METHOD as ABLATION_CAM
from core.explain.dt_grad_cam import METHOD as DT_GRAD_CAM
from core.explain.eigen_cam import METHOD as EIGEN_CAM
from core.explain.fast_score_cam import METHOD as FAST_SCORE_CAM
from core.explain.grad_cam import METHOD as GRAD_CAM
from core.explain.grad_cam_plus_plus import METHOD as GRAD_CAM_PLUS_PLUS
from core.explain.hires_cam import METHOD as HIRES_CAM
from core.explain.integrated_gradients import METHOD as INTEGRATED_GRADIENTS
from core.explain.kernel_shap import METHOD as KERNEL_SHAP
from core.explain.layer_cam import METHOD as LAYER_CAM
from core.explain.lime_superpixels import METHOD as LIME
from core.explain.method import Method
from core.explain.occlusion import METHOD as OCCLUSION
from core.explain.score_cam import METHOD as SCORE_CAM
from core.explain.xgrad_cam import METHOD as XGRAD_CAM

_ALL = (
    GRAD_CAM,
    SCORE_CAM,
    FAST_SCORE_CAM,
    EIGEN_CAM,
    DT_GRAD_CAM,
    GRAD_CAM_PLUS_PLUS,
    HIRES_CAM,
    LAYER_CAM,
    XGRAD_CAM,
    ABLATION_CAM,
    OCCLUSION,
    INTEGRATED_GRADIENTS,
    LIME,
    KERNEL_SHAP,
)

METHODS: dict[str, Method] = {method.id: method for method in _ALL}
