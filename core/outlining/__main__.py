"""Train the network that proposes outlines of lesions, and judge it.

    python -m core.outlining train --data DIR
    python -m core.outlining train --data DIR --resume
    python -m core.outlining evaluate --data DIR
    python -m core.outlining evaluate --data DIR --shipped
    python -m core.outlining evaluate --data DIR --seed 1 --figures-only

DIR is the data set's folder, or a folder that holds it; without --data it is looked for below
LESIONLENS_DATA. ImageNet weights come from LESIONLENS_WEIGHTS, else from timm's hub. train leaves
the best weights and its state in runs/; Ctrl-C keeps the last full epoch, and --resume goes on
from there. --from-scratch is for comparison: such a run is kept in runs/from-scratch and never
judged. evaluate chooses the rule of the outline on validation images, measures all figures on
test images, and writes the checkpoint; with --shipped it does so for the weights that are there,
as after a system that needs an outline was trained. With --figures-only a run of another seed, and
so of another split, leaves its figures beside the shipped network's and no weights.
"""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core import command
from core.checkpoints import CHECKPOINTS, FROM_SCRATCH, RUNS
from core.outlining.recipe import OutlineRecipe, load_outline_recipe
from core.training.state import RunFolder

console = Console()
_GOES_WITHOUT = {
    "train": ("shipped", "figures_only", "output"),
    "evaluate": ("resume", "from_scratch"),
    "--shipped": ("seed", "figures_only", "runs"),
}
"""Options that have no say in an action, or beside another."""


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    action, stopped = _ACTIONS[options.action]
    return command.run(lambda: action(options), stopped)


def _train(options: argparse.Namespace) -> None:
    import torch

    from core.outlining.training import run_folder

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    recipe = load_outline_recipe()
    runs = options.runs / FROM_SCRATCH.name if options.from_scratch else options.runs
    run = run_folder(recipe, options.seed, runs)
    with run.held():
        _train_in(run, recipe, options)
    console.print(f"Best weights: {run.folder.name}. Go on with: python -m core.outlining evaluate")


def _train_in(run: RunFolder, recipe: OutlineRecipe, options: argparse.Namespace) -> None:
    from core.outlining.images import read_table
    from core.outlining.learner import OutlineLearner
    from core.outlining.training import epochs_of, start_of, train
    from core.training.images import read_images
    from core.training.run import begin, check_interrupted

    pretrained = not options.from_scratch
    if options.resume:
        check_interrupted(run, {"method": recipe.method(), "pretrained": pretrained})
    table = read_table(recipe, options.data, options.seed)
    split = table["split"].to_numpy()
    training = read_images(table[split == "train"], recipe)
    validation = read_images(table[split == "validation"], recipe)
    console.print(f"{len(training)} training images, {len(validation)} validation images")
    learner = OutlineLearner(recipe, options.seed, pretrained)
    begin(run, start_of(recipe, training, validation, pretrained), options.resume)
    epochs = epochs_of(recipe)
    with _bars() as bars:
        steps = bars.add_task("", total=epochs * (len(training) // recipe.training.batch_size))

        def on_step(*_: object) -> None:
            bars.advance(steps)

        def on_epoch(record: dict) -> None:
            console.print(_epoch_line(record, epochs), highlight=False)

        train(learner, recipe, training, validation, run, options.seed, on_step, on_epoch)


def _bars() -> Progress:
    columns = (TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def _epoch_line(record: dict, epochs: int) -> str:
    left = (epochs - record["epoch"] - 1) * record["seconds"] / 60
    return (
        f"epoch {record['epoch'] + 1:3d} of {epochs}  rate {record['learning_rate']:.1e}  "
        f"loss {record['loss']:.4f}  validation: Dice {record['val_dice']:.3f}  "
        f"false {record['val_false']:.2f}  {record['seconds']:.0f} s, {left:.0f} min left"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from core.outlining.result import add_split, judge_again, write_result

    if options.shipped:
        folder = judge_again(options.data, options.output)
    else:
        judge = add_split if options.figures_only else write_result
        folder = judge(
            load_outline_recipe(), options.data, options.seed, options.runs, options.output
        )
    console.print(f"Checkpoint written: {folder.name}")


_ACTIONS = {
    "train": (_train, "Interrupted before the training began."),
    "evaluate": (_evaluate, "Interrupted. No file is half written; give the same command again."),
}
"""What is done, and what is said after Ctrl-C unless the training itself says what it left."""


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m core.outlining",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("train", "evaluate"))
    parser.add_argument("--data", type=command.path, metavar="DIR", help="folder of the data set")
    parser.add_argument(
        "--seed", type=command.seed, default=0, help="seed of split, order and weights"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--from-scratch", action="store_true", help="start from random weights")
    parser.add_argument("--shipped", action="store_true", help="judge the shipped weights anew")
    parser.add_argument(
        "--figures-only", action="store_true", help="keep figures beside the shipped network's"
    )
    parser.add_argument("--runs", type=command.path, default=RUNS, help="folder of runs")
    parser.add_argument(
        "--output", type=command.path, default=CHECKPOINTS, help="folder of checkpoints"
    )
    options = parser.parse_args(arguments)
    for chosen in (options.action, "--shipped") if options.shipped else (options.action,):
        command.refuse_idle(parser, options, chosen, _GOES_WITHOUT[chosen])
    return options


if __name__ == "__main__":
    sys.exit(main())
