"""What the guards of the systems are worth, as a part of the page docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.evaluation.corruptions import CORRUPTIONS
from core.evaluation.guard_images import BARE, HARMED, MADE, OTHER, OWN, SAME
from core.evaluation.guard_ranking import Figure, area, false_alarms, separation, share
from core.guard import ENOUGH, FOREIGN
from core.markdown import markdown_table
from core.wording import in_percent, usable

GOAL_AREA, GOAL_ALARMS = 0.98, 0.05
_OTHERS = (OTHER, MADE, SAME, BARE)

_READING = (
    "Measured by `python -m core.evaluation.guard` on the test images of the grouped run whose "
    "weights are shipped. The guard takes the larger of two calibrated distances to the training "
    "images: one of the network's last features (cosine, 5th nearest image), one of what the "
    "picture looks like (48 numbers of colour, greys, edges and layout; Mahalanobis). Up to 1 a "
    f"scan is like the training images, beyond it unusual, and where the picture lies beyond "
    f"{FOREIGN:g}, of another kind. AUROC: the chance that such an image lies further out than an "
    "own test scan, by both views together and by each alone; intervals are bootstrapped over "
    "groups. False alarms at 95 % detection: own test scans at or beyond the distance that finds "
    "95 % of the set, which their intervals take as given. Flagged: unusual or of another kind at "
    "the limits that are shipped. Intervals of shares are bootstrapped over groups too; where all "
    "samples give the same share, as where all images or none count, they are Wilson's with a "
    f"group as one trial. A system with fewer than {ENOUGH} validation images judges the "
    "picture alone, calibrated also on its training images, each as if its group were unknown: "
    "of features there are too few that the network has not fitted. That was decided after 6 of "
    "the 18 own test scans of the histology system, the only one that it concerns, had been "
    "seen to be flagged by their features (2 of these 6 and 1 of the other 12 were classified "
    "wrongly); no limit was fitted to them."
)
_CHOICE = (
    "How it was chosen: on validation images of the three BUSI systems against 100 images each of "
    "the thermograms, the mammograms and ultrasound-9016, all of UCSB and BreakHis, photographs, "
    "phantoms, noise and blank images. So these figures of the BUSI systems are of kinds of image "
    "that were seen when the guard was designed, and some images may be the same. The first "
    "comparisons also showed the distances of BUSI test scans; the choice was made again on "
    "validation images, but by then those had been seen. The other systems took no part. Features "
    "alone did not do: EfficientNet-B0's put mammograms where ultrasound lies (AUROC 0.26 by "
    "Mahalanobis distance with Ledoit and Wolf's covariance, 0.96 by the nearest neighbours, 0.91 "
    "by the energy of the logits, which fell to 0.4 against other sets)."
)
_DAMAGE = (
    "Damaged test scans: share flagged, by strength (blur: sigma as a share of the shorter side; "
    "noise: sigma in grey levels; crop: share of each side cut away; contrast: share lost; "
    "screenshot: width of the frame as a share of the side)."
)


def section(figures: Mapping[str, pd.DataFrame]) -> str:
    """Markdown on the systems (recipe id -> table of ``core.evaluation.guard``); "" if none."""
    if not figures:
        return ""
    parts = ["## Guard", _READING, _CHOICE]
    for recipe_id, table in figures.items():
        parts += _system(recipe_id, table)
    return "\n\n".join(parts) + "\n"


def _system(recipe_id: str, table: pd.DataFrame) -> list[str]:
    table = table.assign(distance=table[["features", "picture"]].max(axis=1))
    own = table[table["relation"] == OWN]
    sets = _sets(table)
    lines = {name: _line(own, rows) for name, rows in sets.items()}
    heads = [
        "Images", "What they are", "n", "AUROC ↑", "AUROC, features", "AUROC, picture",
        "False alarms at 95 % detection ↓", "Flagged", "Called another kind",
    ]  # fmt: skip
    return [
        f"### Guard of `{recipe_id}`",
        _alarms(own),
        verdict(own, {name: rows for name, rows in sets.items() if _is_foreign(rows)}),
        markdown_table(heads, [[_title(rows), *line] for (_, rows), line in
                               zip(sets.items(), lines.values(), strict=True)]),
        _DAMAGE,
        _damage(table[table["relation"] == HARMED]),
    ]  # fmt: skip


def verdict(own: pd.DataFrame, foreign: Mapping[str, pd.DataFrame]) -> str:
    """Whether the goals are met on images of other kinds, in a sentence that names the misses.

    Tables with ``distance``, ``group`` and ``level``.
    """
    missed = [
        _title(rows)
        for rows in foreign.values()
        if separation(_distances(own), _distances(rows)) < GOAL_AREA
        or _false_alarms(own, rows).value > GOAL_ALARMS
    ]
    passed = {_title(rows): int((rows["level"] == "like").sum()) for rows in foreign.values()}
    slipped = ", ".join(f"{name} {count}" for name, count in passed.items() if count)
    goal = f"AUROC of at least {GOAL_AREA:g}, at most {in_percent(GOAL_ALARMS)} false alarms"
    met = (
        f"The goal ({goal}) is met against all {len(foreign)} sets of another kind."
        if not missed
        else f"The goal ({goal}) is missed against: {', '.join(missed)}."
    )
    return f"{met} Images of another kind that pass as like: {slipped or 'none'}."


def _sets(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Images that are not own scans, by relation and set, in the order in which they are told."""
    chosen = table[table["relation"].isin(_OTHERS)]
    parts = dict(list(chosen.groupby(["relation", "set"], sort=False)))
    return dict(sorted(parts.items(), key=lambda item: _OTHERS.index(item[0][0])))


def _is_foreign(rows: pd.DataFrame) -> bool:
    return rows["relation"].iloc[0] in (OTHER, MADE)


def _line(own: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    return [
        rows["relation"].iloc[0],
        str(len(rows)),
        *(_area_cell(own, rows, view) for view in ("distance", "features", "picture")),
        _cell(_false_alarms(own, rows), percent=True),
        _share_cell(rows, rows["level"] != "like"),
        _share_cell(rows, rows["level"] == "foreign"),
    ]


def _title(rows: pd.DataFrame) -> str:
    return str(rows["set"].iloc[0])


def _alarms(own: pd.DataFrame) -> str:
    flagged, foreign = (
        _share_cell(own, chosen) for chosen in (own["level"] != "like", own["level"] == "foreign")
    )
    return (
        f"Of {len(own)} own test scans ({own['group'].nunique()} groups) {flagged} are flagged, "
        f"where 5 % are to be expected, and {foreign} called another kind."
    )


def _damage(rows: pd.DataFrame) -> str:
    most = max(len(strengths) for _, strengths in CORRUPTIONS.values())
    lines = []
    for name, (_, strengths) in CORRUPTIONS.items():
        mine = rows[rows["set"] == name]
        cells = [_flagged(mine[np.isclose(mine["strength"], s)], s) for s in strengths]
        lines.append([name, str(mine["image_id"].nunique()), *cells])
    return markdown_table(["Damage", "n", *(f"Strength {i + 1}" for i in range(most))], lines)


def _flagged(rows: pd.DataFrame, strength: float) -> str:
    return f"{strength:g}: {_share_cell(rows, rows['level'] != 'like')}"


def _area_cell(own: pd.DataFrame, rows: pd.DataFrame, view: str) -> str:
    return _cell(_area(own, rows, view)) if rows[view].any() else "not judged"


def _area(own: pd.DataFrame, rows: pd.DataFrame, view: str) -> Figure:
    groups = (pd.factorize(part["group"], sort=True)[0] for part in (own, rows))
    return area(own[view].to_numpy(), rows[view].to_numpy(), *groups)


def _false_alarms(own: pd.DataFrame, rows: pd.DataFrame) -> Figure:
    return false_alarms(_distances(own), _distances(rows), own["group"].to_numpy())


def _distances(rows: pd.DataFrame) -> np.ndarray:
    return rows["distance"].to_numpy()


def _share_cell(rows: pd.DataFrame, chosen: pd.Series) -> str:
    return _cell(share(chosen.to_numpy(), rows["group"].to_numpy()), percent=True)


def _cell(figure: Figure, percent: bool = False) -> str:
    value, low, high = (
        in_percent(one, 1) if percent else f"{one:.3f}"
        for one in (figure.value, figure.low, figure.high)
    )
    return f"{value} ({usable(figure.low, figure.high, f'{low} to {high}')})"
