"""What stands below the compared maps: their figures, their downloads, and what the methods are."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.faithfulness import Faithfulness
from core.evaluation.localisation import Localisation, localisation
from core.explain import METHODS, Method
from core.recipes import load_recipe
from core.spreadsheet import safe_csv
from core.wording import PERCENT_COLUMN, for_column
from pages._downloads import Offer
from pages._frame import plain, quiet
from pages._maps import INSTANT, Aim, Answer, Question
from pages._views import Outline, View

SHOWN = {
    "iou": "IoU",
    "dice": "Dice",
    "recall": "Recall",
    "precision": "Precision",
    "energy_inside": "Energy",
    "pointing": "Peak",
}
"""Figure of ``Localisation`` -> its heading."""
JUDGED = {"deletion": "Deletion", "insertion": "Insertion"}
"""Figure of ``Faithfulness`` -> its heading."""
WHAT_IT_MEASURES = {
    "iou": "Pixels where the map is at least 0.5 and inside the outline, over those of either.",
    "dice": "Twice the shared pixels over the sum of both areas.",
    "recall": "Share of the outlined lesion where the map is at least 0.5.",
    "precision": "Share of the region of at least 0.5 that lies inside the outline.",
    "energy_inside": "Share of the map's total that lies inside the outline; needs no threshold.",
    "pointing": "1 if the map is largest inside the outline, 0 if elsewhere, a share if both.",
    "deletion": "Mean score of the class while the places the map marks are hidden, strongest "
    "first. Lower is better.",
    "insertion": "Mean score of the class while they are put sharp into a blurred scan. Higher "
    "is better.",
}
LAST_LAYER, NO_LAYER = "last", "none"
CHOSEN_ABOVE = ["recipe", "layer", "parameters", "frame", "explained"]
"""Columns of the table as a file alone."""
COSTS = {INSTANT: "at once", "seconds": "seconds a map", "minutes": "up to minutes a map"}


@dataclass(frozen=True, eq=False)
class Entry:
    """One map of the comparison, of a class with this ``score``; ``answer`` is None while it is
    awaited, or if it was ``stopped``."""

    view: View
    question: Question
    score: float
    answer: Answer | None
    located: Localisation | None = None
    judged: Faithfulness | None = None
    stopped: bool = False

    @property
    def note(self) -> str | None:
        """Why there is no map, or what is to be known of it."""
        if self.answer is None:
            return "stopped" if self.stopped else "waiting"
        return self.answer.note

    @property
    def changed(self) -> list[str]:
        """The layer and the parameters that are not as they were to start with, in words."""
        method, chosen = METHODS[self.method_id], dict(self.question.parameters)
        layer = [f"layer {self.view.layer}"] if method.layered and self.view.layer else []
        return layer + [
            f"{one.label} {chosen[one.name]:g}"
            for one in method.parameters
            if chosen.get(one.name, one.default) != one.default
        ]

    @property
    def recipe_id(self) -> str:
        return self.view.recipe_id

    @property
    def method_id(self) -> str:
        return self.question.method_id

    @property
    def layer(self) -> str:
        return self.view.layer or LAST_LAYER if METHODS[self.method_id].layered else NO_LAYER


def entry(
    view: View,
    question: Question,
    score: float,
    answer: Answer | None,
    judged: Faithfulness | None = None,
    stopped: bool = False,
) -> Entry:
    """An entry, measured against the outline if there is one."""
    heatmap = answer.heatmap if answer else None
    located = localisation(heatmap, view.outline.mask) if heatmap and view.outline else None
    return Entry(view, question, score, answer, located, judged, stopped)


def comparison_table(entries: Sequence[Entry], aim: Aim) -> pd.DataFrame:
    """One row a system and method: score of the class in [0, 1], seconds, and the figures."""
    return pd.DataFrame([_row(one, aim) for one in entries])


def show_table(entries: Sequence[Entry], aim: Aim) -> None:
    """The table, for people."""
    table = comparison_table(entries, aim).drop(columns=CHOSEN_ABOVE)
    table["score"] = for_column(table["score"])
    located = any(one.located for one in entries)
    hidden = [] if located else [*SHOWN]
    hidden += [] if any(one.judged for one in entries) else [*JUDGED]
    hidden += ["note"] if table["note"].isna().all() else []
    st.dataframe(
        table.drop(columns=hidden),
        hide_index=True,
        height="content",
        row_height=33,
        column_config=_columns(aim),
        placeholder="–",
        alt=f"Table of {len(table)} maps: system, method, score, seconds"
        + (", and how well each map lies on the lesion" if located else ""),
    )


def offers(entries: Sequence[Entry], aim: Aim, outline: Outline | None) -> list[Offer]:
    """The table and the raw maps as files."""
    return [
        Offer(
            "Table (CSV)",
            lambda: safe_csv(comparison_table(entries, aim)),
            "lesionlens-comparison.csv",
        ),
        Offer(
            "Maps (NPZ)",
            lambda: maps_archive(entries, aim, outline),
            "lesionlens-maps.npz",
            help="NumPy archive: each map as float32 in [0, 1], at the resolution of its "
            "layer or of the network's input.",
        ),
    ]


def maps_archive(entries: Sequence[Entry], aim: Aim, outline: Outline | None) -> bytes:
    """All maps as a NumPy archive.

    ``<recipe>.<method>`` float32 (h, w) in [0, 1]; ``lesion`` bool (H, W) if known; ``about`` is
    JSON text: what is explained, the sha256 and the frame, from 1, of the scan, and by map the
    layer, the parameters of the method, the raw maximum, the seconds and the score.
    """
    maps = {f"{one.recipe_id}.{one.method_id}": one for one in entries if _heatmap(one)}
    about = {
        name: {
            "layer": one.layer,
            "parameters": dict(one.question.parameters),
            "maximum": _heatmap(one).maximum,
            "seconds": one.answer.seconds,
            "score": one.score,
        }
        for name, one in maps.items()
    }
    view = entries[0].view
    arrays = {name: _heatmap(one).values for name, one in maps.items()}
    if outline:
        arrays["lesion"] = outline.mask
    told = {"explained": str(aim), "scan": view.item.digest, "frame": view.frame + 1, "maps": about}
    arrays["about"] = np.array(json.dumps(told))
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def show_methods() -> None:
    """Name, paper, cost and equation of every method."""
    with st.expander("What these methods are"):
        st.markdown(
            "Most turn features of one layer of the network, and what the class makes of them, "
            "into a map of the scan. Eigen-CAM asks about no class; Grad-CAM++, Layer-CAM and Fast "
            "Score-CAM hardly do: on the BUSI systems their maps stay alike when the last layer is "
            "made random (measured; page Systems, Explanations). Occlusion, integrated "
            "gradients, LIME and Kernel SHAP change the scan itself and look at no layer. A map "
            "says what the system used; it is relative to the rest of the same scan, and two good "
            "methods may differ. On the last layer of a network that ends in average pooling and "
            "one linear layer, Grad-CAM, HiRes-CAM and XGrad-CAM are the same map by their "
            "definitions."
        )
        st.page_link("pages/learn.py", label="Four of them step by step", icon=":material/school:")
        for method in METHODS.values():
            _show_method(method)


def _show_method(method: Method) -> None:
    left, right = st.columns([1, 3], vertical_alignment="center")
    left.markdown(f"**{plain(method.name)}**, {COSTS[method.cost]}")
    with left:
        quiet(plain(method.paper))
    right.latex(method.equation)


def _heatmap(one: Entry):
    return one.answer.heatmap if one.answer else None


def _row(one: Entry, aim: Aim) -> dict:
    located = asdict(one.located) if one.located else {}
    judged = asdict(one.judged) if one.judged else {}
    return {
        "recipe": one.recipe_id,
        "system": load_recipe(one.recipe_id).title,
        "method": METHODS[one.method_id].name,
        "layer": one.layer,
        "parameters": ", ".join(f"{name} {value:g}" for name, value in one.question.parameters),
        "frame": one.view.frame + 1,
        "explained": str(aim),
        "score": one.score,
        "seconds": one.answer.seconds if one.answer else None,
        **{name: located.get(name) for name in SHOWN},
        **{name: judged.get(name) for name in JUDGED},
        "note": one.note,
    }


def _columns(aim: Aim) -> dict:
    figures = {
        name: st.column_config.NumberColumn(
            heading,
            format="%.2f",
            help=WHAT_IT_MEASURES[name],
            width=max(44, 18 + round(6.3 * len(heading))),
        )
        for name, heading in (SHOWN | JUDGED).items()
    }
    return {
        "system": st.column_config.TextColumn("System", width=262),
        "method": st.column_config.TextColumn("Method", width=100),
        "score": st.column_config.NumberColumn(
            aim.name, format=PERCENT_COLUMN, help="The system's estimate for this class.", width=76
        ),
        "seconds": st.column_config.NumberColumn(
            "Time",
            format="%.3f s",
            help="Beyond the one pass that all maps of a system share. The first map of a kind "
            "also sets its system up, which takes longer than the map.",
            width=64,
        ),
        **figures,
        "note": st.column_config.TextColumn("Note"),
    }
