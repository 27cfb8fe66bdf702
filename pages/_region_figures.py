"""How good proposed outlines are, and what systems that need an outline reach with each kind."""

from __future__ import annotations

from core.checkpoints import CheckpointError
from core.wording import percent
from pages import _shared as shared


def outlines_text() -> str:
    """How well proposed outlines lie on the true ones, and how often one is proposed in vain."""
    lesions = shared.outliner().metrics["test"]["lesions"]
    others = shared.outliner().metrics["test"].get("without_lesion")
    told = (
        f"On {lesions['n']} unseen scans with a lesion such outlines overlapped the true ones with "
        f"a Dice of {_decimals(lesions['values']['dice'])}, and none was proposed in "
        f"{_percents(lesions['values']['not_proposed'])}"
    )
    if not others:
        return f"{told}."
    false = _percents(others["values"]["false_proposal"])
    return f"{told}; on {others['n']} without one an outline was drawn in {false}."


def accuracy_text(recipe_id: str, region: str) -> str:
    """How often a system was right with regions of a kind (``proposed``, ``none``) and with true
    ones; nothing where that was not measured."""
    try:
        measured = shared.outliner().metrics["regions"].get(recipe_id)
    except CheckpointError:
        return ""
    if not measured:
        return ""
    with_it, true = (measured["regions"][one]["accuracy"] for one in (region, "true"))
    return (
        f"On {measured['n']} unseen scans with a lesion it was right {_WITH[region]} in "
        f"{_percents(with_it)}, with the true outline in {_percents(true)}."
    )


_WITH = {"proposed": "with the proposed outline", "none": "without an outline"}


def _percents(figure: dict) -> str:
    low, high = 100 * figure["low"], 100 * figure["high"]
    return f"{percent(figure['value'])} (95 % CI {low:.0f}–{high:.0f} %)"


def _decimals(figure: dict) -> str:
    return f"{figure['value']:.2f} (95 % CI {figure['low']:.2f}–{figure['high']:.2f})"
