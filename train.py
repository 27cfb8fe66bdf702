"""Train a system of the literature.

    python train.py --list
    python train.py busi-efficientnet-b0 --data DIR
    python train.py busi-efficientnet-b0 --data DIR --protocol published
    python train.py busi-mobilenetv2 --data DIR --seed 1 --resume
    python train.py busi-mobilenetv2 --refresh
    python train.py busi-mobilenetv2 --data DIR --architecture vgg16
    python train.py busi-efficientnetv2b0-whole --data DIR --figures-only
    python train.py busi-mobilenetv2 --data DIR --tune 30

DIR is the data set's folder, or a folder that holds it. Without --data it is looked for below
LESIONLENS_DATA. ImageNet weights come from LESIONLENS_WEIGHTS, else from the hubs of Keras and
timm. Ctrl-C keeps the state after the last full epoch; --resume goes on from there, with the same
recipe, data and kind of start, and ends as if it had never stopped.

--architecture trains another network by the recipe's method, for comparison. It leaves its
checkpoint in runs/comparisons/RECIPE+NETWORK, --from-scratch leaves its own in
runs/from-scratch/RECIPE, --epochs in runs/shortened/RECIPE: none touches a shipped system. Given
together, each has its folder in that of another, as runs/shortened/from-scratch/RECIPE; --refresh
takes the same options to find it. The Systems page lists runs/comparisons alone, not what is in
runs/from-scratch or runs/shortened.
--figures-only throws the weights away and keeps the figures in checkpoints/figures/RECIPE, or in
the folder figures of those above; it is refused where a network's weights are. --tune
searches N settings for those with the lowest loss on validation images and prints them as they go
into a recipe; the test images are not read. The same command goes on with an interrupted search.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from core import command
from core.checkpoints import (
    CHECKPOINTS,
    COMPARISONS,
    FIGURES_ONLY,
    FROM_SCRATCH,
    RUNS,
    SHORTENED,
    Checkpoint,
    judged,
    open_checkpoint,
)
from core.networks import networks
from core.recipes import list_recipes, load_recipe
from core.recipes.comparison import COMPARED

console = Console()
_GOES_WITHOUT = {
    "refresh": ("tune", "data", "protocol", "seed", "resume"),
    "tune": ("resume", "figures_only", "output"),
}
"""Options that have no say beside another. They are refused, lest one thinks they had."""


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    logging.basicConfig(
        level="WARNING", format="%(message)s", handlers=[RichHandler(show_path=False)]
    )
    if options.list:
        console.print(_recipes_table())
        return 0
    return command.run(lambda: _act(options), _interrupted(options))


def _act(options: argparse.Namespace) -> None:
    from core.training.run import shorten

    recipe = load_recipe(options.recipe)
    if options.epochs:
        recipe = shorten(recipe, options.epochs)
    if options.tune:
        _tune(recipe, options)
        return
    folder = _refresh(recipe, options) if options.refresh else _train(recipe, options)
    console.print(f"Checkpoint written: {folder}", highlight=False, soft_wrap=True)


def _interrupted(options: argparse.Namespace) -> str:
    """What is said where the training itself, which knows what it left, does not say it."""
    if options.tune:
        return "Interrupted. The finished trials are kept; the same command goes on."
    if options.refresh:
        return "Interrupted. No file is half written; give the same command again."
    return "Interrupted before the training began."


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", help="id of a recipe; see --list")
    parser.add_argument("--list", action="store_true", help="list the recipes and exit")
    parser.add_argument("--data", type=command.path, help="folder of the data set")
    parser.add_argument("--protocol", choices=("published", "grouped"), default="grouped")
    parser.add_argument(
        "--epochs", type=command.whole(1), help="at most this many epochs in each phase"
    )
    parser.add_argument(
        "--seed", type=command.seed, default=0, help="seed of split, order and weights"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        help="start from random weights; manifest and card say so",
    )
    parser.add_argument(
        "--refresh", action="store_true", help="recompute figures and card, train nothing"
    )
    parser.add_argument(
        "--architecture", choices=sorted(networks()), metavar="NETWORK", help=_networks_help()
    )
    parser.add_argument("--figures-only", action="store_true", help="keep figures, not weights")
    parser.add_argument(
        "--tune",
        type=command.whole(1),
        metavar="N",
        help="try N settings on validation images, show the best",
    )
    parser.add_argument("--output", type=command.path, help="folder of checkpoints")
    options = parser.parse_args(arguments)
    _check(parser, options)
    if options.architecture and options.recipe:
        options.recipe += f"{COMPARED}{options.architecture}"
    if options.output is None:
        options.output = _output(options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a sentence where the options do not go together."""
    if not options.list and not options.recipe:
        parser.error("name a recipe, or use --list")
    if options.architecture and COMPARED in (options.recipe or ""):
        parser.error(
            f"'{options.recipe}' names its network already; leave --architecture out, or name the "
            "recipe alone"
        )
    for chosen, others in _GOES_WITHOUT.items():
        if getattr(options, chosen):
            command.refuse_idle(parser, options, f"--{chosen}", others)


def _output(options: argparse.Namespace) -> Path:
    first, *others = _apart(options) or [CHECKPOINTS]
    folder = first.joinpath(*(other.name for other in others))
    return folder / FIGURES_ONLY if options.figures_only else folder


def _runs(options: argparse.Namespace) -> Path:
    """Where the state of a run is kept: one for a trial must not take the place of another, which
    may have cost an hour."""
    return RUNS.joinpath(*(folder.name for folder in _apart(options)))


def _apart(options: argparse.Namespace) -> list[Path]:
    """The folders of all that keeps a run apart from the shipped systems, the outermost first."""
    asked = {
        SHORTENED: options.epochs,
        FROM_SCRATCH: options.from_scratch,
        COMPARISONS: COMPARED in (options.recipe or ""),
    }
    return [folder for folder, given in asked.items() if given]


def _networks_help() -> str:
    return f"train this network instead, for comparison: {', '.join(sorted(networks()))}"


def _recipes_table() -> Table:
    figures = judged()
    # An id is copied from here, so that the others give way on a narrow screen.
    kept, folded = {"no_wrap": True}, {"overflow": "fold"}
    columns = {"Recipe": kept, "Data set": folded, "Network": folded, "Trained": kept}
    table = Table(*(Column(k, **v) for k, v in columns.items()), box=SIMPLE_HEAD, padding=0)
    for recipe in list_recipes():
        table.add_row(
            recipe.id,
            recipe.data.dataset,
            networks()[recipe.architecture.name].title,
            _trained(figures.get(recipe.id)),
        )
    return table


def _trained(checkpoint: Checkpoint | None) -> str:
    if checkpoint is None:
        return "no"
    return "yes" if checkpoint.has_weights else "figures"


def _refresh(recipe, options: argparse.Namespace) -> Path:
    from core.training.result import refresh

    checkpoint = open_checkpoint(recipe.id, options.output)
    refresh(checkpoint, recipe)
    return checkpoint.folder


def _train(recipe, options: argparse.Namespace) -> Path:
    from core.training.run import train_recipe

    with _watched(recipe) as listener:
        return train_recipe(
            recipe,
            options.data,
            protocol=options.protocol,
            seed=options.seed,
            resume=options.resume,
            pretrained=not options.from_scratch,
            output=options.output,
            figures_only=options.figures_only,
            runs=_runs(options),
            listener=listener,
        )


def _tune(recipe, options: argparse.Namespace) -> None:
    from core.training.tune import tune

    def on_trial(settings: dict, loss: float | None) -> None:
        chosen = ", ".join(f"{name} {_short(value)}" for name, value in settings.items())
        judged = "given up" if loss is None else f"validation loss {loss:.4f}"
        console.print(f"{judged}: {chosen}", highlight=False)

    with _watched(recipe) as listener:
        best = tune(
            recipe,
            options.data,
            options.tune,
            protocol=options.protocol,
            seed=options.seed,
            pretrained=not options.from_scratch,
            listener=replace(listener, epoch=lambda _: None),
            on_trial=on_trial,
        )
    print(f"# {recipe.id}: best of {best.trials} settings, validation loss {best.loss:.4f}")
    print(best.toml(), end="")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@contextmanager
def _watched(recipe) -> Iterator:
    """A progress bar, and the listener that moves it."""
    from core.training.run import Listener

    epochs = sum(phase.epochs for phase in recipe.training.phases)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        steps = bars.add_task("epoch 1", loss=float("nan"), total=None)

        def on_step(done: int, total: int, loss: float) -> None:
            bars.update(steps, completed=done, total=total, loss=loss)

        def on_epoch(record: dict) -> None:
            console.print(_epoch_line(record), highlight=False)
            bars.reset(steps, description=f"epoch {record['epoch'] + 2} of at most {epochs}")

        yield Listener(message=console.print, step=on_step, epoch=on_epoch)


def _epoch_line(record: dict) -> str:
    return (
        f"epoch {record['epoch'] + 1:3d}  phase {record['phase'] + 1}  "
        f"rate {record['learning_rate']:.1e}  loss {record['loss']:.4f}  "
        f"validation: loss {record['val_loss']:.4f}  accuracy {record['val_accuracy']:.3f}  "
        f"precision {record['val_precision']:.3f}  recall {record['val_recall']:.3f}  "
        f"{record['seconds']:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
