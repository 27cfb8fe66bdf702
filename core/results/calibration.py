"""What calibration does to the probabilities, as a part of the page docs/results.md."""

from __future__ import annotations

from collections.abc import Iterable

from core.checkpoints import Checkpoint
from core.evaluation.calibration import ENOUGH, SENSITIVITY
from core.markdown import markdown_table
from core.results.tables import NAMES
from core.wording import in_percent, with_interval

_READING = (
    "Probabilities are divided by one temperature in the logits (Guo et al., 2017), fitted on "
    "validation images; it changes no decision. Where every validation image is right, or there "
    f"are fewer than {ENOUGH}, nothing can be fitted, and it is 1. Errors are of the test images, "
    "before and after; bootstrap samples raise the calibration error by chance, so that its "
    "interval lies too high, even above the value. The operating point is the highest calibrated "
    f"malignant probability from which at least {in_percent(SENSITIVITY)} of the malignant "
    "validation images are found; sensitivity and specificity are those of the test images at it."
)
_HEADS = (
    "System", "Figures", "Fitted on", "Temperature", "Calibration error ↓", "calibrated",
    "Log-loss ↓", "calibrated", "Operating point", "Sensitivity, malignant",
    "Specificity, malignant",
)  # fmt: skip


def section(checkpoints: Iterable[Checkpoint]) -> str:
    """Markdown on the systems; "" if there are none."""
    lines = [
        _line(one.recipe.id, protocol, entry)
        for one in checkpoints
        for protocol, entry in one.metrics.items()
        if "calibration" in entry
    ]
    if not lines:
        return ""
    return f"## Calibration\n\n{_READING}\n\n{markdown_table(_HEADS, lines)}\n"


def _line(recipe_id: str, protocol: str, entry: dict) -> list[str]:
    fitted, before = entry["calibration"], entry["values"]
    point = fitted.get("operating_point")
    reached = ("–", "–", "–")
    if point:
        reached = (
            f"{point['threshold']:.3f}",
            with_interval(point["sensitivity"]),
            with_interval(point["specificity"]),
        )
    return [
        f"`{recipe_id}`",
        NAMES[protocol],
        str(fitted["n_fitted"]),
        f"{fitted['temperature']:.2f}",
        with_interval(before["ece"]),
        with_interval(fitted["values"]["ece"]),
        with_interval(before["log_loss"]),
        with_interval(fitted["values"]["log_loss"]),
        *reached,
    ]
