"""Speed as ratios within one run, against named peers. Run it with ``make bench``.

    python -m tests.bench [SYSTEM]... [--quick]

Every figure is a median of at least 5 runs, but those of the exact Score-CAM, which takes minutes a
network and runs once, and of training (3); --quick leaves out both. The peers do the same work on
the same weights: the `grad-cam` package for PyTorch, plain TensorFlow and NumPy for Keras. Each
line says what is aimed at and whether it is met; trust ratios of an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console

from core.architectures import build
from core.checkpoints import list_trained, open_checkpoint
from core.classifiers import Classifier, wrap
from core.datasets.phantoms import PHANTOM_CLASSES, phantom
from core.explain import METHODS
from core.preprocessing import to_batch
from core.recipe import Architecture
from core.recipes import list_recipes
from tests import bench_peers as peers
from tests import bench_training

REPEATS, PAIRS = 7, 15
THREADS, SCANS = 8, 12
NOISY = 16
UNTRAINED = {"dalaresnet50": "torch"}
"""Networks that are measured with random weights as long as no trained system has them."""


@dataclass(frozen=True)
class Line:
    """One figure with what it is aimed at; ``met`` is None where nothing is aimed at."""

    work: str
    figure: str
    aim: str = ""
    met: bool | None = None


def main() -> None:
    """Measure and print."""
    options = _parse()
    console = Console()
    for name, classifier in systems(options.systems):
        console.print(f"\n[bold]{name}[/bold]")
        for line in measure(classifier, options.quick):
            verdict = {True: "met", False: "[bold]NOT MET[/bold]", None: ""}[line.met]
            aim = f"({line.aim})" if line.aim else ""
            console.print(f"  {line.work}: {line.figure}", aim, verdict, soft_wrap=True)
    console.print(f"Phantoms of 256 x 256: {phantom_rate():.0f} images a second")
    if not options.quick:
        for table in bench_training.tables():
            console.print(table)


def systems(wanted: list[str]) -> Iterator[tuple[str, Classifier]]:
    """The shipped systems, and the networks that none of them has."""
    present = set()
    for recipe_id in list_trained():
        checkpoint = open_checkpoint(recipe_id)
        present.add(checkpoint.recipe.architecture.name)
        if not wanted or recipe_id in wanted:
            yield recipe_id, checkpoint.load()
    for name, framework in UNTRAINED.items():
        if name not in present and (not wanted or name in wanted):
            architecture = Architecture(framework=framework, name=name)
            recipe = list_recipes()[0].model_copy(update={"architecture": architecture})
            yield f"{name} (random weights)", wrap(recipe, build(recipe))


def measure(classifier: Classifier, quick: bool) -> Iterator[Line]:
    """All lines of one system."""
    batch = scans(classifier, 1)
    alone = partial(classifier.logits, batch)
    yield Line("Prediction alone", f"{median_ms(alone):.1f} ms")
    yield from instant_lines(classifier, batch, alone)
    noisy = partial(METHODS["dt-grad-cam"].run, classifier, batch, 0, n=NOISY)
    dear = paired(noisy, alone)
    yield _ratio(f"DT-Grad-CAM, {NOISY} copies, of the prediction", dear, most=6)
    known = paired(partial(noisy, features=classifier.features(batch)), alone)
    yield Line("the same with the scan's own pass known, as on every page", f"{known:.2f} x")
    yield from score_cam_lines(classifier, batch, quick)
    yield from thread_lines(classifier)


def instant_lines(
    classifier: Classifier, batch: np.ndarray, alone: Callable[[], object]
) -> Iterator[Line]:
    """What the cheap methods add to a prediction."""
    together = paired(lambda: predict_and_explain(classifier, batch), alone)
    yield _ratio("Prediction, Grad-CAM and Eigen-CAM, of the prediction", together, 1.3)
    features = classifier.features(batch)
    eigen = median_ms(lambda: METHODS["eigen-cam"].run(classifier, None, 0, features=features))
    yield Line("Eigen-CAM beyond the forward pass", f"{eigen:.1f} ms", "at most 5 ms", eigen <= 5)
    peer = peers.grad_cam(classifier)
    theirs = paired(lambda: peer(batch), alone)
    yield Line(f"Prediction and Grad-CAM by {peers.name(classifier)}", f"{theirs:.2f} x")


def score_cam_lines(classifier: Classifier, batch: np.ndarray, quick: bool) -> Iterator[Line]:
    """Fast Score-CAM in seconds; the exact one against the peer, once each: they take minutes."""
    fast = median_ms(lambda: METHODS["fast-score-cam"].run(classifier, batch, 0), 5) / 1000
    yield Line("Fast Score-CAM", f"{fast:.2f} s", "at most 1.5 s", fast <= 1.5)
    if quick:
        return
    before = _start_of_peak()  # the fast method has warmed up what both use
    seconds, explanation = _timed(lambda: METHODS["score-cam"].run(classifier, batch, 0))
    more = _memory_mb("VmHWM") - before
    peer = peers.score_cam(classifier)
    theirs, map_ = _timed(lambda: peer(batch))
    who = f"exact Score-CAM, {peers.name(classifier)} over ours ({theirs:.0f} s, {seconds:.0f} s)"
    yield _ratio(who, theirs / seconds, least=4)
    ours = explanation.heatmaps[0].resized(*map_.shape)
    agreement = float(np.corrcoef(ours.ravel(), map_.ravel())[0, 1])
    yield Line("their correlation", f"{agreement:.4f}", "at least 0.99", agreement >= 0.99)
    yield Line("extra memory of ours", f"{more:.0f} MB", "at most 300 MB", more <= 300)


def thread_lines(classifier: Classifier) -> Iterator[Line]:
    """Maps that come out wrong when threads share the model."""
    what = f"wrong maps and errors, {THREADS} threads x {SCANS} scans, "
    wrong, errors = count_wrong(lambda x: four_maps(classifier, x), classifier)
    yield Line(what + "four methods of ours", f"{wrong} and {errors}", "none", wrong == errors == 0)
    wrong, errors = count_wrong(peers.grad_cam(classifier), classifier, tolerance=1e-4)
    yield Line(what + "Grad-CAM of " + peers.name(classifier), f"{wrong} and {errors}")


def predict_and_explain(classifier: Classifier, batch: np.ndarray) -> np.ndarray:
    """Prediction, Grad-CAM of the likeliest class and Eigen-CAM from one pass: Grad-CAM (h, w)."""
    features = classifier.features(batch)
    # Eigen-CAM asks about no class; its logits are the prediction.
    likeliest = METHODS["eigen-cam"].run(classifier, None, 0, features=features).logits.argmax(1)
    explanation = METHODS["grad-cam"].run(classifier, None, likeliest, features=features)
    return explanation.heatmaps[0].values


def four_maps(classifier: Classifier, batch: np.ndarray) -> np.ndarray:
    """Grad-CAM, Score-CAM, Eigen-CAM and DT-Grad-CAM of one scan, all pixels in one row. Of the two
    dear ones with few channels and copies, so that threads meet often."""
    few = {"fast-score-cam": {"channels": 8}, "dt-grad-cam": {"n": 4}}
    maps = (
        METHODS[name].run(classifier, batch, 0, **few.get(name, {})).heatmaps[0].values.ravel()
        for name in ("grad-cam", "fast-score-cam", "eigen-cam", "dt-grad-cam")
    )
    return np.concatenate([*maps])


def count_wrong(
    explain: Callable[[np.ndarray], np.ndarray], classifier: Classifier, tolerance: float = 0
) -> tuple[int, int]:
    """How many scans' maps differ from the sequential ones by more than ``tolerance`` when threads
    share the model, and errors."""
    batch = scans(classifier, SCANS)
    expected = [explain(batch[i : i + 1]) for i in range(SCANS)]

    def attempt(number: int) -> bool | None:
        index = number % SCANS
        try:
            found = explain(batch[index : index + 1])
        except Exception:  # whatever a shared hook breaks
            return None
        return np.allclose(found, expected[index], rtol=0, atol=tolerance)

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(attempt, range(THREADS * SCANS)))
    return results.count(False), results.count(None)


def scans(classifier: Classifier, count: int) -> np.ndarray:
    """Different phantoms as one batch."""
    images = [phantom(PHANTOM_CLASSES[i % 3], i)[0] for i in range(count)]
    return to_batch(images, classifier.recipe.preprocessing)


def phantom_rate() -> float:
    """Phantoms a second, drawn one after the other."""
    started = perf_counter()
    for seed in range(30):
        phantom(PHANTOM_CLASSES[seed % 3], seed)
    return 30 / (perf_counter() - started)


def median_ms(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median time of a call after two to warm up, in milliseconds."""
    times = [_timed(run)[0] for _ in range(repeats + 2)]
    return 1000 * statistics.median(times[2:])


def paired(run: Callable[[], object], base: Callable[[], object], repeats: int = PAIRS) -> float:
    """Median ratio of the times of two calls, made in turns: what slows the machine slows both."""
    ratios = [_timed(run)[0] / _timed(base)[0] for _ in range(repeats + 2)]
    return statistics.median(ratios[2:])


def _timed(run: Callable[[], object]) -> tuple[float, object]:
    """Seconds of one call, and what it returned."""
    started = perf_counter()
    result = run()
    return perf_counter() - started, result


def _ratio(work: str, ratio: float, most: float | None = None, least: float | None = None) -> Line:
    if least is not None:
        return Line(work, f"{ratio:.2f} x", f"at least {least} x", ratio >= least)
    return Line(work, f"{ratio:.2f} x", f"at most {most} x", ratio <= most)


def _start_of_peak() -> float:
    """Forget the most memory that this process has held, and say what it holds now, in MB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory_mb("VmRSS")


def _memory_mb(name: str) -> float:
    """A figure of this process's memory as Linux gives it: VmRSS (now) or VmHWM (the most)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="default: all")
    parser.add_argument("--quick", action="store_true", help="without the exact Score-CAM")
    return parser.parse_args()


if __name__ == "__main__":
    main()
