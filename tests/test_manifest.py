"""Manifests: the same numbers again, exactly; or a sentence that says why not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import __version__
from core.checkpoints import (
    CHECKPOINTS,
    MANIFEST,
    Checkpoint,
    open_checkpoint,
    sha256,
    update_checkpoint,
)
from core.conformal import of_checkpoint
from core.datasets.phantoms import phantom
from core.explain import METHODS
from core.findings import EvidenceMap, Look
from core.guard import LEVELS, load_guard
from core.manifest import Manifest, ManifestError, manifest, read_manifest
from core.predict import classify
from core.preprocessing import to_batch
from core.replay import replay
from core.scans import read_scan
from core.windowing import Window
from tests import findings as made
from tests.dicoms import dicom
from tests.test_report import PERSON, SECRETS

WINDOW = Window(90.25, 120.5, "LINEAR", "Quixote window")


def stored(record: dict) -> dict:
    """What comes back of a manifest that was written to disk."""
    return json.loads(json.dumps(record))


@pytest.fixture(scope="module")
def cine():
    """A DICOM file with two frames and a name."""
    frames = np.stack([phantom(label, 5)[0][..., 0] for label in ("benign", "malignant")])
    return dicom(frames, NumberOfFrames=2, **PERSON)


@pytest.fixture(scope="module")
def plain():
    return manifest(made.examined(made.phantom_png()))


def test_a_replay_gives_exactly_the_same_numbers(plain):
    found = replay(stored(plain), made.phantom_png())
    assert found["agrees"] and found["tolerance"] == 0 and found["difference"] == 0
    assert found["found"] == found["stated"]
    assert found["changes"] == {}


def test_numbers_are_exact(plain):
    opinion = made.examined(made.phantom_png()).opinion
    back = stored(plain)
    assert [np.float32(one) for one in back["logits"]] == opinion.logits.tolist()
    assert back["probabilities"] == opinion.probabilities.tolist()
    assert back["pixels"]["sha256"] == sha256(opinion.pixels.tobytes())
    assert back["inputs"] == [sha256(made.phantom_png())]


def test_frame_and_window_are_replayed(cine):
    look = Look(WINDOW, inverted=True)
    findings = made.examined(cine, frame=1, look=look)
    stated = stored(manifest(findings))
    assert replay(stated, cine)["difference"] == 0
    others = (
        {"frame": 0},
        {"look": None},
        {"look": stated["look"] | {"inverted": False}},
        {"look": stated["look"] | {"center": 91.0}},
    )
    for other in others:  # each decides the pixels
        with pytest.raises(ManifestError, match="unpacked differently"):
            replay(stated | other, cine)


@pytest.fixture(scope="module")
def outlined(tmp_path_factory):
    """The shipped system as if it had been trained on outlined lesions."""
    root = tmp_path_factory.mktemp("outlined")
    checkpoint = Checkpoint(shutil.copytree(CHECKPOINTS / made.SYSTEM, root / made.SYSTEM))
    text = checkpoint.verified("recipe.toml").decode()
    changed = text.replace('region = "none"', 'region = "mask"')
    assert changed != text
    update_checkpoint(checkpoint, {"recipe.toml": changed.encode()})
    return root


def test_the_region_is_replayed(outlined):
    checkpoint = open_checkpoint(made.SYSTEM, outlined)
    system = (checkpoint, checkpoint.load())
    region = phantom("malignant", 3)[1]
    region[::7] ^= True  # no outline could say this
    data = made.phantom_png()
    marked = made.examined(data, region=region, region_source="uploaded", system=system)
    stated = stored(manifest(marked))
    found = replay(stated, data, outlined)
    assert found["agrees"] and found["difference"] == 0
    without = replay(stated | {"region": None}, data, outlined)
    assert not without["agrees"] and without["difference"] > 0


def test_a_volume_is_replayed_from_its_files():
    from core.dicom.series import read_series

    files = [
        dicom(phantom("benign", number)[0][..., 0], ImagePositionPatient=[0, 0, number])
        for number in range(2)
    ]
    one = made.examined(files[1])
    scan = read_series(files)
    several = replace(
        one,
        opinion=classify(made.opened()[1], scan, frame=1),
        frame=1,
        frames=2,
        scan_digests=tuple(map(sha256, files)),
    )
    stated = stored(manifest(several))
    assert replay(stated, files)["difference"] == 0
    with pytest.raises(ManifestError, match="not the 2 files"):
        replay(stated, files[::-1])


def test_one_changed_byte_is_refused(plain):
    data = bytearray(made.phantom_png())
    data[len(data) // 2] ^= 1
    with pytest.raises(ManifestError, match="not the file that was examined"):
        replay(plain, bytes(data))


def test_other_numbers_do_not_agree(plain):
    shares = plain["probabilities"]
    near = [shares[0] + 1e-12, *shares[1:]]
    found = replay(plain | {"probabilities": near}, made.phantom_png())
    assert not found["agrees"] and found["difference"] == pytest.approx(1e-12, rel=0.01)


@pytest.mark.parametrize("elsewhere", [{}, {"versions": {}}], ids=["here", "elsewhere"])
def test_other_logits_do_not_agree(plain, elsewhere):
    assert replay(plain | elsewhere, made.phantom_png())["agrees"]
    other = plain | elsewhere | {"logits": [plain["logits"][0] + 0.1, *plain["logits"][1:]]}
    found = replay(other, made.phantom_png())
    assert not found["agrees"] and not found["logits"] and found["difference"] == 0


def test_on_another_machine_small_differences_are_allowed_and_what_changed_is_told(plain):
    versions = plain["versions"] | {"numpy": "1.0.0"}
    for shift, agrees in ((9e-5, True), (2e-4, False)):
        shares = [plain["probabilities"][0] + shift, *plain["probabilities"][1:]]
        other = plain | {"versions": versions, "probabilities": shares}
        found = replay(other, made.phantom_png())
        assert found["agrees"] is agrees and found["tolerance"] == 1e-4
        assert found["changes"] == {"numpy": ("1.0.0", plain["versions"]["numpy"])}


@pytest.mark.parametrize("was", ["0.9.0", "none"])
def test_another_version_of_lesionlens_is_told_and_one_that_was_not_kept_too(plain, was):
    others = {name: one for name, one in plain["versions"].items() if name != "lesionlens"}
    versions = others if was == "none" else others | {"lesionlens": was}
    found = replay(plain | {"versions": versions}, made.phantom_png())
    assert found["agrees"] and found["changes"] == {"lesionlens": (was, __version__)}


INSTANT = [name for name, method in METHODS.items() if method.cost == "instant"]


@pytest.fixture(scope="module")
def mapped():
    """With every instant map, made by the method itself."""
    findings = made.examined(made.phantom_png())
    opinion, classifier = findings.opinion, made.opened()[1]
    batch = to_batch([opinion.pixels], classifier.recipe.preprocessing)
    maps = [
        EvidenceMap(name, METHODS[name].run(classifier, batch, opinion.target).heatmaps[0])
        for name in INSTANT
    ]
    return stored(manifest(replace(findings, maps=tuple(maps))))


def test_heatmaps_are_replayed_exactly(mapped):
    found = replay(mapped, made.phantom_png())
    assert found["agrees"]
    expected = [{"method": one, "agrees": True, "difference": 0.0} for one in INSTANT]
    assert found["maps"] == expected and len(expected) > 3


def test_a_map_for_another_class_than_the_likeliest_is_replayed():
    findings = made.examined(made.phantom_png())
    other = (findings.opinion.target + 1) % len(findings.opinion.classes)
    opinion = classify(made.opened()[1], read_scan(made.phantom_png()), target=other)
    maps = (EvidenceMap("grad-cam", opinion.heatmap),)
    stated = stored(manifest(replace(findings, opinion=opinion, maps=maps)))
    assert stated["target"] == other
    assert stated["maps"] != manifest(findings)["maps"]
    assert replay(stated, made.phantom_png())["agrees"]


def test_maps_within_a_region_are_replayed(outlined):
    checkpoint = open_checkpoint(made.SYSTEM, outlined)
    system = (checkpoint, checkpoint.load())
    region, data = phantom("malignant", 3)[1], made.phantom_png()
    findings = made.examined(data, region=region, region_source="drawn", system=system)
    opinion, classifier = findings.opinion, system[1]
    batch = to_batch([opinion.pixels], classifier.recipe.preprocessing, [region])
    seen = METHODS["fast-score-cam"].run(classifier, batch, opinion.target).heatmaps[0]
    maps = (EvidenceMap("fast-score-cam", seen),)
    assert replay(stored(manifest(replace(findings, maps=maps))), data, outlined)["agrees"]


def test_another_heatmap_does_not_agree(mapped):
    first = mapped["maps"][0]
    for other in ({"sha256": "0" * 64}, {"maximum": first["maximum"] * 1.005}):
        found = replay(mapped | {"maps": [first | other, *mapped["maps"][1:]]}, made.phantom_png())
        assert [one["agrees"] for one in found["maps"]] == [False] + [True] * (len(INSTANT) - 1)
        assert not found["agrees"] and found["difference"] == 0


@pytest.mark.parametrize(("factor", "agrees"), [(1.005, True), (1.1, False)])
def test_on_another_machine_a_heatmap_may_be_a_little_stronger(mapped, factor, agrees):
    first = mapped["maps"][0]
    other = first | {"sha256": "0" * 64, "maximum": first["maximum"] * factor}
    elsewhere = mapped | {"maps": [other], "machine": {"system": "another"}}
    found = replay(elsewhere, made.phantom_png())
    assert found["agrees"] is agrees
    assert found["maps"][0]["difference"] == pytest.approx(1 - 1 / factor)


@pytest.mark.parametrize(
    "other", [{"method": "crystal-ball"}, {"parameters": {"bogus": 1.0}}], ids=["method", "setting"]
)
def test_a_heatmap_that_cannot_be_made_here_is_refused(mapped, other):
    with pytest.raises(ManifestError, match="heatmap '"):
        replay(mapped | {"maps": [mapped["maps"][0] | other]}, made.phantom_png())


@pytest.fixture(scope="module")
def judged():
    """With all that a report says of how far the answer goes."""
    findings = made.examined(made.phantom_png())
    checkpoint, opinion = made.opened()[0], findings.opinion
    verdict = load_guard(checkpoint).judge(opinion.features, opinion.pixels)
    more = {
        "prediction_set": of_checkpoint(checkpoint).classes_in(opinion.probabilities),
        "coverage": 0.9,
        "guard_level": verdict.level,
        "guard_distance": verdict.distance,
        "spread": (0.25, 0.75),
        "spread_note": "turned",
    }
    return stored(manifest(replace(findings, **more))), more


def test_a_manifest_holds_set_guard_and_spread_and_a_replay_finds_them(judged):
    stated, more = judged
    held = {"classes": list(more["prediction_set"]), "coverage": 0.9}
    assert stated["prediction_set"] == held
    guard = {"level": more["guard_level"], "distance": more["guard_distance"]}
    assert stated["guard"] == guard
    assert stated["spread"] == {"low": 0.25, "high": 0.75, "changes": "turned"}
    found = replay(stated, made.phantom_png())
    assert found["agrees"] and found["verdicts"] == []


def test_another_set_and_another_verdict_of_the_guard_do_not_agree(judged):
    stated, more = judged
    level = next(one for one in LEVELS if one != more["guard_level"])
    others = {
        "prediction_set": (stated["prediction_set"] | {"classes": ["x"]}, "The prediction set was"),
        "guard": (stated["guard"] | {"level": level}, f"The guard's verdict was '{level}'"),
    }
    for name, (other, sentence) in others.items():
        found = replay(stated | {name: other}, made.phantom_png())
        (told,) = found["verdicts"]
        assert told.startswith(sentence) and not found["agrees"] and found["difference"] == 0
    moved = stated["guard"] | {"distance": more["guard_distance"] * (1 + 1e-9)}
    (told,) = replay(stated | {"guard": moved}, made.phantom_png())["verdicts"]
    assert told.startswith("The guard's distance was ")


def test_elsewhere_a_verdict_may_lie_beyond_its_threshold_if_the_numbers_are_near(judged):
    stated, more = judged
    elsewhere = stated | {"versions": stated["versions"] | {"numpy": "0.1"}}
    level = next(one for one in LEVELS if one != more["guard_level"])
    near = {"level": level, "distance": more["guard_distance"] * (1 + 1e-4)}
    assert replay(elsewhere | {"guard": near}, made.phantom_png())["agrees"]
    untold = {"level": more["guard_level"], "distance": None}
    assert replay(elsewhere | {"guard": untold}, made.phantom_png())["agrees"]
    assert replay(stated | {"guard": untold}, made.phantom_png())["agrees"]
    for level in LEVELS:
        far = {"level": level, "distance": more["guard_distance"] * 1.01}
        assert not replay(elsewhere | {"guard": far}, made.phantom_png())["agrees"]


def test_a_manifest_from_before_it_held_them_is_replayed(plain):
    older = {one: plain[one] for one in plain if one not in ("prediction_set", "guard", "spread")}
    assert replay(older, made.phantom_png())["agrees"]


def test_other_weights_are_refused(plain):
    other = plain | {"weights": plain["weights"] | {"sha256": "0" * 64}}
    with pytest.raises(ManifestError, match="The weights of .* here are others"):
        replay(other, made.phantom_png())


@pytest.mark.parametrize("change", [{"protocol": "published"}, {"seed": 9}])
def test_weights_of_another_run_are_refused(plain, change):
    with pytest.raises(ManifestError, match="another protocol or seed"):
        replay(plain | {"weights": plain["weights"] | change}, made.phantom_png())


def test_another_calibration_and_an_absent_system_are_refused(plain, tmp_path):
    with pytest.raises(ManifestError, match="calibration"):
        replay(plain | {"temperature": 9.0}, made.phantom_png())
    with pytest.raises(ManifestError, match="No trained system"):
        replay(plain, made.phantom_png(), root=tmp_path)


def test_changed_weights_are_refused_by_their_hash(plain, tmp_path):
    folder = shutil.copytree(CHECKPOINTS / made.SYSTEM, tmp_path / made.SYSTEM)
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert (folder / MANIFEST).is_file()
    with pytest.raises(ManifestError, match="does not match its hash"):
        replay(plain, made.phantom_png(), root=tmp_path)


def test_a_manifest_names_nobody(cine):
    text = json.dumps(manifest(made.examined(cine, frame=1, look=Look(WINDOW))))
    assert not [secret for secret in SECRETS if secret.lower() in text.lower()]


@pytest.mark.parametrize(
    "change",
    [
        {"probabilities": [0.5]},
        {"target": 99},
        {"inputs": []},
        {"format": "another"},
        {"prediction_set": {"classes": ["benign"], "coverage": 1.5}},
        {"unknown": 1},
        {"look": {"center": "x", "width": 1, "shape": "LINEAR", "inverted": False}},
    ],
)
def test_what_is_no_manifest_is_refused_with_the_place(plain, change):
    with pytest.raises(ManifestError, match="no manifest of an examination"):
        replay(plain | change, made.phantom_png())


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ManifestError, match=r"^This is no manifest .*\.$"):
        read_manifest(text)


@pytest.mark.parametrize("png", ["", "no base64!", "aGVsbG8="])
def test_a_damaged_region_is_refused(plain, png):
    with pytest.raises(ManifestError, match="region cannot be read"):
        replay(plain | {"region": {"source": "drawn", "png": png}}, made.phantom_png())


def test_a_path_that_is_no_text_is_left_out():
    findings = made.examined(made.phantom_png())
    paths = {"caf\u00e9.png": "caf\u00e9.png", "caf\udce9.png": None}
    for path, kept in paths.items():
        assert read_manifest(json.dumps(manifest(findings, Path(path)))).path == kept


def test_a_manifest_is_a_record_that_validates(plain):
    assert Manifest.model_validate(stored(plain)).model_dump(mode="json") == plain
