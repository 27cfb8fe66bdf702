"""How far to trust one opinion: is the scan of the right kind, which classes the true one is among,
and does the answer stay when the scan changes a little."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.conformal import Conformal
from core.findings import BY_NETWORK, NO_REGION
from core.guard import GuardVerdict
from core.predict import Opinion
from core.recipes import load_recipe
from core.wording import percent, unbroken
from pages import _kept as kept
from pages import _shared as shared
from pages._frame import plain, quiet
from pages._region import Region
from pages._region_figures import accuracy_text
from pages._scans import mismatch
from pages._system import reliability
from pages._views import View, needs_outline

ABSTAIN = "Decide only when sure"
ABSTAIN_HELP = (
    "No class is named where the prediction set has more than one, where there is none, or where "
    "the scan is unlike the training images. The probabilities stay."
)
NO_SET = (
    "None: such sets hold only for scans, outlines and windows like those they were measured with."
)
STEADY_HELP = "Lowest and highest estimate over the scan and {} slightly changed copies of it: {}."


@dataclass(frozen=True, eq=False)
class Assurance:
    """How far an opinion can be trusted.

    ``contradiction``: why the file's header speaks against the system, or None. ``guard`` judges
    the picture. ``unmeasured``: why the system's figures do not hold for what it is shown of the
    scan, in a few words, or None. ``classes``: the prediction set, or None where it does not hold.
    ``strict``: the user wants a class named only where it is the only one.
    """

    contradiction: str | None
    guard: GuardVerdict
    unmeasured: str | None
    conformal: Conformal
    classes: tuple[str, ...] | None
    strict: bool

    @property
    def doubtful(self) -> bool:
        """Whether the system's measured figures do not hold for a scan like this."""
        return bool(self.contradiction) or self.guard.level != "like"

    @property
    def abstention(self) -> str | None:
        """Why no class is named, in a word or two; None if one is."""
        if not self.strict:
            return None
        if self.doubtful:
            return "unlike its training images"
        if self.classes is None:
            return self.unmeasured
        return " or ".join(self.classes) if len(self.classes) > 1 else None


def assess(view: View, opinion: Opinion, region: Region | None = None) -> Assurance:
    """Judge one opinion. Raises CheckpointError if the system's checkpoint is damaged."""
    sets = shared.conformal(view.recipe_id)
    contradiction = mismatch(view.item, load_recipe(view.recipe_id))
    guard = shared.guard(view.recipe_id).judge(opinion.features, opinion.pixels)
    unmeasured = _unmeasured(view, region)
    alike = guard.level == "like" and not contradiction and not unmeasured
    return Assurance(
        contradiction=contradiction,
        guard=guard,
        unmeasured=unmeasured,
        conformal=sets,
        classes=sets.classes_in(opinion.probabilities) if alike else None,
        strict=only_when_sure(),
    )


def _unmeasured(view: View, region: Region | None) -> str | None:
    if not as_trained(view.recipe_id, region):
        return "no outline to rely on"
    return "seen through another window" if view.look else None


def as_trained(recipe_id: str, region: Region | None) -> bool:
    """Whether a system is shown what it was measured with: an outline by hand, if it needs one."""
    return not needs_outline(recipe_id) or (region is not None and region.source not in BY_NETWORK)


def choose_strictness() -> None:
    """Whether a class is named only where the system is sure of it."""
    st.toggle(ABSTAIN, key="strict", persist_state="session", help=ABSTAIN_HELP)


def only_when_sure() -> bool:
    """Whether that was chosen."""
    return st.session_state.get("strict", False)


def show_doubt(found: Assurance) -> None:
    """What speaks against reading the opinion at all; nothing where nothing does."""
    if found.contradiction:
        st.error(plain(found.contradiction), icon=":material/do_not_disturb_on:")
    elif found.guard.level == "foreign":
        st.error(plain(found.guard.sentence), icon=":material/do_not_disturb_on:")
    elif found.guard.level == "unusual":
        st.warning(plain(found.guard.sentence), icon=":material/help:")


def show_assurance(found: Assurance):
    """Prediction set and guard in one row; returns the place where the spread will stand."""
    sets, steady, guard = st.columns(3, gap="large")
    with sets:
        title = f"**Prediction set, {percent(found.conformal.coverage)}**"
        st.markdown(unbroken(title), help=plain(found.conformal.sentence))
        quiet(NO_SET if found.classes is None else plain(", ".join(found.classes)))
    with guard:
        st.markdown("**Like its training images?**", help=plain(found.guard.sentence))
        share = percent(found.guard.share) if found.guard.share else "none"
        quiet(_LIKE[found.guard.level].format(share))
    return steady.empty()


def show_steadiness(place, view: View, opinion: Opinion) -> None:
    """How far the estimate of the likeliest class moves when the scan changes a little."""
    spread = kept.spread(view)
    index = opinion.classes.index(opinion.label)
    low, high = percent(float(spread.low[index])), percent(float(spread.high[index]))
    with place.container():
        told = STEADY_HELP.format(spread.copies, spread.changes)
        st.markdown(f"**{plain(opinion.label.capitalize())}, if the scan changes**", help=told)
        quiet(f"{low} to {high}")


def trust_in(view: View, opinion: Opinion, region: Region | None, found: Assurance) -> str:
    """How often such an answer was right on unseen scans that were seen in the same way; nothing
    where that was not measured, or where the scan or the view of it is of another kind."""
    if found.doubtful or view.look:
        return ""
    if as_trained(view.recipe_id, region):
        return reliability(opinion, shared.checkpoint(view.recipe_id).metrics)
    proposed = region is not None and region.source == "proposed"
    return accuracy_text(view.recipe_id, "proposed") if proposed else ""


def show_region_warning(view: View) -> None:
    """That a system which needs a region was given none, and what that costs."""
    if lacks_region(view):
        told = f"{NO_REGION} {accuracy_text(view.recipe_id, 'none')}"
        st.warning(told, icon=":material/crop_free:")


def lacks_region(view: View) -> bool:
    """Whether a system that needs a region was given none."""
    return needs_outline(view.recipe_id) and view.outline is None


_LIKE = {
    "like": "Yes: {} of the unseen scans of its own kind differ as much from them.",
    "unusual": "Hardly: {} of the unseen scans of its own kind differ as much from them.",
    "foreign": "No: {} of the unseen scans of its own kind differ as much from them.",
}
