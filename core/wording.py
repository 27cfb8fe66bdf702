"""How figures and names are written: for pages, reports, cards and tables alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PERCENT_COLUMN = "%.1f %%"
"""How a column writes what ``for_column`` gives."""
MALIGNANT_SIGN = "▲"
UNDEFINED = "undefined"
NO_INTERVAL = "no usable interval"
_ROUNDING = 1e-9
"""A mean of equal values differs from them by less."""


def percent(probability: float) -> str:
    """A probability in [0, 1] as a whole percentage that never claims certainty.

    >>> percent(0.873), percent(0.9991), percent(0.0004)
    ('87 %', '> 99 %', '< 1 %')
    """
    if probability > 0.99:
        return "> 99 %"
    if probability < 0.01:
        return "< 1 %"
    return f"{probability:.0%}".replace("%", " %")


def for_column(probabilities: pd.Series) -> pd.Series:
    """Probabilities in [0, 1] as the numbers of a column that writes percentages with one decimal:
    like ``percent`` it never claims certainty.

    >>> import pandas as pd
    >>> for_column(pd.Series([0.873, 0.99991, 0.0])).tolist()
    [87.3, 99.9, 0.1]
    """
    return (100 * probabilities).clip(0.1, 99.9)


def in_percent(value: float, digits: int = 0) -> str:
    """A share in [0, 1] in percent, as it is.

    >>> in_percent(0.999), in_percent(0.123, 1)
    ('100 %', '12.3 %')
    """
    return f"{100 * value:.{digits}f} %"


def with_interval(figure: dict | None, digits: int = 3, to: str = " to ") -> str:
    """A figure of ``metrics.json`` with its 95 % interval. One without width, of test groups that
    are too few or all alike, tells nothing.

    >>> with_interval({"value": 0.5, "low": 0.25, "high": 0.75}, 2, "–")
    '0.50 (0.25–0.75)'
    >>> with_interval({"value": 1.0, "low": 1.0, "high": 1.0}), with_interval(None)
    ('1.000 (no usable interval)', 'undefined')
    """
    if figure is None or figure["value"] is None:
        return UNDEFINED
    value, low, high = (f"{figure[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({usable(figure['low'], figure['high'], f'{low}{to}{high}')})"


def usable(low: float, high: float, told: str) -> str:
    """``told``, an interval as it is written, unless it has no width and so tells nothing.

    >>> usable(0.0, 0.5, "0 to 50 %"), usable(1.0, 1.0, "100 to 100 %")
    ('0 to 50 %', 'no usable interval')
    >>> usable(0.7, 0.7000000000000001, "0.7 to 0.7")
    'no usable interval'
    """
    return told if high - low > _ROUNDING else NO_INTERVAL


def p_value(p: float | None) -> str:
    """A p value as a sentence goes on after "p"; it is never written as zero.

    >>> p_value(0.0412), p_value(2.7e-4), p_value(None)
    ('= 0.041', '< 0.001', 'undefined')
    """
    if p is None or p != p:
        return UNDEFINED
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def over_runs(over_seeds: dict, name: str) -> str:
    """A figure of an entry's ``over_seeds``, as ``kind_of_runs`` says.

    >>> few = {"seeds": [0, 1], "values": {"mcc": {"seed 0": 0.95, "seed 1": 0.876}}}
    >>> over_runs(few, "mcc"), kind_of_runs(few)
    ('0.950 and 0.876', 'seed 0 and seed 1')
    >>> many = {"seeds": [0, 1, 2], "values": {"mcc": {"mean": 0.629, "sd": 0.0791}}}
    >>> over_runs(many, "mcc"), kind_of_runs(many)
    ('0.629 ± 0.079', 'mean ± standard deviation')
    """
    figure = over_seeds["values"][name]
    if "sd" in figure:
        return f"{figure['mean']:.3f} ± {figure['sd']:.3f}"
    return " and ".join(f"{figure[f'seed {n}']:.3f}" for n in over_seeds["seeds"])


def kind_of_runs(over_seeds: dict) -> str:
    """What ``over_runs`` writes: a mean with its spread, or the figure of each of a few runs."""
    if any("sd" in figure for figure in over_seeds["values"].values()):
        return "mean ± standard deviation"
    return " and ".join(f"seed {n}" for n in over_seeds["seeds"])


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def signed(name: str, malignant: bool) -> str:
    """The name of a class, with the sign of those that count as malignant."""
    return f"{name} {MALIGNANT_SIGN}" if malignant else name


def unbroken(text: str) -> str:
    """The text with percentages, and a class and its sign, kept on one line each.

    >>> unbroken("malignant ▲ in 79 %").split(" ")
    ['malignant\\xa0▲', 'in', '79\\xa0%']
    """
    return text.replace(" %", "\u00a0%").replace(f" {MALIGNANT_SIGN}", f"\u00a0{MALIGNANT_SIGN}")
