"""Make the guard of a trained system again from its data set.

    python -m core.guard --recipe ID [--data DIR]

The command reads the data set and keeps what the guard needs in the checkpoint.
"""

from __future__ import annotations

import argparse
import sys

from core import command
from core.checkpoints import CHECKPOINTS, list_trained, open_checkpoint
from core.guard import load_guard
from core.guard.making import remake


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    return command.run(lambda: _remake(options))


def _remake(options: argparse.Namespace) -> None:
    arrays = remake(open_checkpoint(options.recipe, options.output), options.data)
    guard = load_guard(open_checkpoint(options.recipe, options.output))
    print(
        f"{options.recipe}: {guard.trained} training images, calibrated on {len(guard.unseen)} "
        f"unseen ones, {sum(a.nbytes for a in arrays.values()) / 1e6:.1f} MB."
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help=f"one of: {', '.join(list_trained())}")
    parser.add_argument("--data", type=command.path, metavar="DIR", help="folder of the data set")
    parser.add_argument(
        "--output", type=command.path, default=CHECKPOINTS, help="folder of checkpoints"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
