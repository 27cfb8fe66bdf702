"""How commands read paths, numbers and options, and how every command ends: with an exit status,
and a sentence where it could not be done."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

UNABLE, INTERRUPTED = 2, 130
_MAX_SEED = 4_000_000  # the search takes a thousandfold, and NumPy no more than 2**32


def run(action: Callable[[], int | None], interrupted: str = "Interrupted.") -> int:
    """The exit status: what ``action`` returns (None: 0), 2 if it raised a ValueError or an
    OSError, whose text goes to standard error, and 130 after Ctrl-C, with the text of the
    KeyboardInterrupt where it has one: who raised it knows what is kept. Else ``interrupted``."""
    try:
        return action() or 0
    except (ValueError, OSError) as error:
        print(_told(error), file=sys.stderr)
        return UNABLE
    except KeyboardInterrupt as stop:
        print(str(stop) or interrupted, file=sys.stderr)
        return INTERRUPTED


def refuse_idle(
    parser: argparse.ArgumentParser, options: argparse.Namespace, chosen: str, others: Iterable[str]
) -> None:
    """End with a sentence where one of the ``others`` was given, which has no say beside what was
    ``chosen``: one might think it had."""
    idle = [name for name in others if getattr(options, name) != parser.get_default(name)]
    if idle:
        flags = (f"--{name.replace('_', '-')}" for name in idle)
        parser.error(f"{chosen} goes without {', '.join(flags)}; leave it out")


def path(text: str) -> Path:
    """Reads a file or folder from an argument's text. An empty one, as of a variable that is not
    set, would be the folder that the command is given in, with all that it holds."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give a file or a folder")
    return Path(text)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """What reads a whole number within these bounds from an argument's text."""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"give a whole number {bounds}")
        return number

    return read


seed = whole(0, _MAX_SEED)
"""What reads a seed that everything random can take."""


def _told(error: Exception) -> str:
    """What the system says of a file, without the number of its error; else the error's text."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}. Choose another file or folder."
    return str(error)
