"""The model card of a trained system (Mitchell et al., FAT* 2019), in Markdown."""

from __future__ import annotations

from core.markdown import bullets, markdown_table, sentence_case
from core.recipe import Recipe
from core.wording import kind_of_runs, over_runs, with_interval

INTENDED_USE = (
    "Research and teaching. Not a medical device: its output is no medical finding and must not "
    "guide the care of a patient."
)

SPLIT_TITLES = {"grouped": "Grouped split", "published": "Random split"}
"""Protocol -> how pages and reports call it."""
PROTOCOLS = {
    "grouped": "no near-duplicate, patient, slide or source of a test image was in training",
    "published": "a random split, image by image, in the paper's proportions",
}

_FIGURES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_auc": "ROC-AUC, macro",
    "macro_f1": "F1, macro",
    "mcc": "MCC",
    "ece": "Expected calibration error",
}

_FROM_SCRATCH = (
    "**Begun from random weights** (`--from-scratch`), not from ImageNet's as the recipe means it: "
    "its figures are no measure of the recipe."
)


def render(recipe: Recipe, metrics: dict, pretrained: bool = True) -> str:
    """The card. ``metrics`` as in ``metrics.json``: by protocol, with intervals; ``pretrained``:
    the training began from ImageNet's weights."""
    parts = [
        f"# {recipe.title} (`{recipe.id}`)",
        recipe.summary,
        f"**Intended use.** {INTENDED_USE}",
        f"**Modality.** {sentence_case(recipe.modality)}. "
        f"**Classes.** {', '.join(recipe.classes)}.",
        f"**Trained on.** {recipe.trained_on}",
        "" if pretrained else _FROM_SCRATCH,
        _source(recipe),
        "## Figures on test images\n\n" + _figures(recipe, metrics),
        bullets("## Known limits", recipe.limits),
        bullets("## Departures from the paper", recipe.departures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _source(recipe: Recipe) -> str:
    source = recipe.source
    parts = [source.authors, f'"{source.title}"', source.venue, str(source.year or ""), source.link]
    return "**After.** " + ", ".join(part for part in parts if part) + "."


def _figures(recipe: Recipe, metrics: dict) -> str:
    names = _FIGURES | {f"sensitivity_{c}": f"Sensitivity, {c}" for c in recipe.classes}
    protocols = [name for name in PROTOCOLS if name in metrics]
    heads = [f"{p} (n = {metrics[p]['n']}, {metrics[p]['n_groups']} groups)" for p in protocols]
    lines = []
    for key, title in names.items():
        paper = recipe.published.get(key)
        cells = [with_interval(metrics[name]["values"].get(key)) for name in protocols]
        lines.append([title, "–" if paper is None else f"{paper:g}", *cells])
    notes = [f"`{name}`: {PROTOCOLS[name]}." for name in protocols]
    notes += [_spread(name, metrics[name], names) for name in protocols]
    notes.append(_alone([name for name in protocols if not metrics[name].get("over_seeds")]))
    malignant = " or ".join(recipe.malignant_classes)
    notes += [_calibration(name, metrics[name]["calibration"], malignant) for name in protocols]
    return (
        markdown_table(["Figure", "Paper", *heads], lines)
        + "\n\nWith 95 % bootstrap intervals over groups; bootstrap samples raise the calibration "
        "error by chance, so that its interval lies too high. " + " ".join(filter(None, notes))
    )


def _spread(protocol: str, metrics: dict, names: dict[str, str]) -> str:
    """What other splits and trainings gave, if there were any."""
    spread = metrics.get("over_seeds")
    if not spread:
        return ""
    known = {name: title for name, title in names.items() if name in spread["values"]}
    parts = [f"{title} {over_runs(spread, name)}" for name, title in known.items()]
    return (
        f"\n\nOver {len(spread['seeds'])} trainings under `{protocol}`, each with a split of its "
        f"own ({kind_of_runs(spread)}): {', '.join(parts)}. The table is that of seed "
        f"{metrics['seed']}."
    )


def _alone(protocols: list[str]) -> str:
    """That the spread over other splits is not known under these protocols."""
    if not protocols:
        return ""
    names = " and ".join(f"`{name}`" for name in protocols)
    return (
        f"\n\nUnder {names}, these are figures of one training on one split; how far others would "
        "differ is not known."
    )


def _calibration(protocol: str, calibration: dict, malignant: str) -> str:
    """What temperature scaling and the operating point do on the test images."""
    comes = "is" if calibration["temperature"] == 1 else "becomes"
    text = (
        f"\n\nUnder `{protocol}`, probabilities are {scaling(calibration)}. The expected "
        f"calibration error {comes} {with_interval(calibration['values']['ece'])}."
    )
    point = calibration.get("operating_point")
    if point is None:
        return text
    return text + (
        f" Calling a scan {malignant} from a probability of {point['threshold']:.3f} "
        "on, chosen on validation images to find 95 % of those, gives a test sensitivity of "
        f"{with_interval(point['sensitivity'])} and a specificity of "
        f"{with_interval(point['specificity'])}."
    )


def scaling(calibration: dict) -> str:
    """How probabilities were scaled, after "Probabilities are"."""
    images = f"{calibration['n_fitted']} validation images"
    if calibration["temperature"] == 1:
        return f"not scaled: {images}, too few or all of them right, tell no temperature"
    return f"scaled by a temperature of {calibration['temperature']:.2f}, fitted on {images}"
