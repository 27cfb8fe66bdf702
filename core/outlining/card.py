"""The card of an outlining network (Mitchell et al., FAT* 2019), and its figures as tables."""

from __future__ import annotations

from core.card import INTENDED_USE
from core.markdown import bullets, markdown_table, sentence_case
from core.outlining.recipe import OutlineRecipe
from core.recipe import Source
from core.wording import in_percent, with_interval

GOAL = 0.78
_LESION = {
    "dice": "Dice, mean",
    "iou": "IoU, mean",
    "found": "Found (IoU at least 0.5)",
    "not_proposed": "Nothing proposed",
}
_OTHERS = {"false_proposal": "Proposed where there is no lesion"}
_WHOSE = {
    "plain": "the scan's",
    "mirrored": "the mean of the scan's and its mirror image's",
    "enlarged": "the mean of the scan's and its mirror image's, of each at two sizes",
}
_REGION = {"true": "the outline drawn by radiologists", "proposed": "proposed", "none": "none"}
_FIGURES = {
    "accuracy": "Accuracy",
    "macro_auc": "ROC-AUC",
    "sensitivity_malignant": "Sensitivity, malignant",
    "specificity_malignant": "Specificity, malignant",
}


def render(recipe: OutlineRecipe, metrics: dict) -> str:
    """The card, in Markdown. ``metrics`` as in ``metrics.json``."""
    parts = [
        f"# {recipe.title} (`{recipe.id}`)",
        recipe.summary,
        f"**Intended use.** {INTENDED_USE}",
        f"**Modality.** {sentence_case(recipe.modality)}.",
        f"**Trained on.** {recipe.trained_on} {split_sentence(metrics)}",
        "**After.** " + " ".join(_cited(source) for source in recipe.sources),
        "## Figures on test images",
        *figure_parts(metrics),
        bullets("## Known limits", recipe.limits),
        bullets("## How it was trained", recipe.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def split_sentence(metrics: dict) -> str:
    """How many images of each class learned, chose and tested."""
    parts = [
        f"{name} " + ", ".join(f"{int(n)} {label}" for label, n in counts.items())
        for name in ("train", "validation", "test")
        for counts in [metrics["split"][name]]
    ]
    return (
        f"Images: {'; '.join(parts)}. No near-duplicate of a test image was in training; the test "
        "images with a lesion are those of the systems that classify outlined lesions."
    )


def figure_parts(metrics: dict) -> list[str]:
    """Figures of the outlines and of the systems that were given them, as Markdown."""
    return [
        _lesion_table(metrics["test"]),
        f"With 95 % bootstrap intervals over groups of near-duplicates. {_goal(metrics['test'])} "
        + _others(metrics["test"]),
        *_split_parts(metrics.get("over_splits")),
        rule_sentence(metrics),
        *(part for name, one in metrics["regions"].items() for part in _region_parts(name, one)),
    ]


def rule_sentence(metrics: dict) -> str:
    """The rule of the outline, and on what it was chosen."""
    rule, chosen = metrics["rule"], metrics["rule_chosen_on"]
    which = "the largest of them alone is kept" if rule["largest_only"] else "all of them are kept"
    whose = _WHOSE[rule["views"]]
    size = f"of at least {in_percent(rule['smallest'], 1)} of the scan " if rule["smallest"] else ""
    return (
        f"The outline is where the probability ({whose}) is at least {rule['threshold']:g}, in "
        f"connected parts {size}that reach {rule['peak']:g} somewhere; {which}. This rule "
        f"was chosen on the {chosen['n']} validation images, where its mean Dice is "
        f"{chosen['score']:.3f}, an image without a "
        "lesion counting 1 if nothing is proposed and else 0. A proposal takes "
        f"{metrics['milliseconds']['value']:.0f} ms (median of {metrics['milliseconds']['scans']} "
        f"phantoms of 256 x 256, {metrics['milliseconds']['threads']} processor cores)."
    )


def _lesion_table(test: dict) -> str:
    classes = sorted(set(test) - {"lesions", "without_lesion"})
    lines = [
        [
            "all lesions" if name == "lesions" else name,
            f"{one['n']} ({one['n_groups']})",
            *(with_interval(one["values"][key]) for key in _LESION),
        ]
        for name, one in ((name, test[name]) for name in ("lesions", *classes))
    ]
    return markdown_table(["Lesions", "Images (groups)", *_LESION.values()], lines)


def _goal(test: dict) -> str:
    found = test["lesions"]["values"]["dice"]["value"]
    met = "is met" if found >= GOAL else "is not met"
    return f"The goal set beforehand, a mean Dice of at least {GOAL:.2f} over all lesions, {met}."


def _others(test: dict) -> str:
    one = test.get("without_lesion")
    if one is None:
        return "No image without a lesion was tested."
    figure = one["values"]["false_proposal"]
    return (
        f"Of the {one['n']} test images without a lesion ({one['n_groups']} groups), "
        f"{with_interval(figure)} get an outline all the same."
    )


def _split_parts(spread: dict | None) -> list[str]:
    """What other splits and trainings gave, if there were any."""
    if not spread:
        return []
    parts = [
        f"{title} {one['mean']:.3f} ± {one['sd']:.3f}"
        for name, title in (_LESION | _OTHERS).items()
        if (one := spread["values"].get(name))
    ]
    return [
        f"Over {spread['n']} splits, with a training and a rule for each (mean ± standard "
        f"deviation): {', '.join(parts)}. Mean Dice by split, the first that of the table: "
        f"{', '.join(f'{one:.3f}' for one in spread['dice'])}."
    ]


def _region_parts(name: str, one: dict) -> list[str]:
    lines = [
        [title, *(with_interval(one["regions"][region][key]) for key, _ in _FIGURES.items())]
        for region, title in _REGION.items()
    ]
    change = one["change"]["proposed"]
    without = one["change"]["none"]
    return [
        f"What `{name}` reaches on the same {one['n']} test images ({one['n_groups']} groups), by "
        "the region it is given:",
        markdown_table(["Region", *_FIGURES.values()], lines),
        f"From the drawn to the proposed outline its accuracy changes by {_signed(change)}, to no "
        f"outline by {_signed(without)}. In {one['not_proposed']} of the images nothing is "
        "proposed; there it is given the whole image.",
    ]


def _cited(source: Source) -> str:
    return f'{source.authors}, "{source.title}", {source.venue}, {source.year}, {source.link}.'


def _signed(figure: dict) -> str:
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
