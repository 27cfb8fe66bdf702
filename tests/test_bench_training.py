"""Minutes of epochs, worked out by hand."""

from __future__ import annotations

import pandas as pd

from tests.bench_training import seconds_of_epochs


def test_an_epoch_counts_as_the_median_of_its_phase():
    frozen, fine = [(0, 10), (0, 12)], [(1, 100), (1, 1000), (1, 110)]
    runs = {("grouped", 0): frozen + fine, ("grouped", 1): frozen, ("published", 0): [(0, 7)]}
    history = pd.DataFrame(
        [(*run, *epoch) for run, epochs in runs.items() for epoch in epochs],
        columns=["protocol", "seed", "phase", "seconds"],
    )
    assert seconds_of_epochs(history).to_dict() == {"grouped": 2 * 11 + 3 * 110, "published": 7}
