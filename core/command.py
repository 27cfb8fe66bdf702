"""How every command ends: with an exit status, and a sentence where it could not be done."""

from __future__ import annotations

import sys
from collections.abc import Callable

UNABLE, INTERRUPTED = 2, 130


def run(action: Callable[[], int | None], interrupted: str = "Interrupted.") -> int:
    """The exit status: what ``action`` returns (None: 0), 2 if it raised a ValueError or an
    OSError, whose text goes to standard error, and 130 after Ctrl-C."""
    try:
        return action() or 0
    except (ValueError, OSError) as error:
        print(_told(error), file=sys.stderr)
        return UNABLE
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED


def _told(error: Exception) -> str:
    """What the system says of a file, without the number of its error; else the error's text."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}. Choose another file or folder."
    return str(error)
