"""What cannot be done, told to the user."""

from __future__ import annotations


class Refusal(ValueError):
    """Its text is a sentence for the user: what is wrong, and what to do. Pages and commands show
    it as it is; any other exception is a fault of ours."""
