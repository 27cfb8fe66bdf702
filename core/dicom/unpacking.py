"""Frames that gdcm unpacks: JPEG lossless, progressive and of 12 bits, JPEG-LS, JPEG 2000 by its
part 2, and any JPEG 2000 where they are many.

gdcm ends its process at some damaged files, and would take the server with it. So this file is
also a program, run as a process of its own: a line of JSON and then the frames come in, pixels go
out. It imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

SECONDS = 60
"""How long a file may take."""
WORTH_A_PROCESS = 8
"""Frames for which the start of one more process, about 0.1 s, is soon made good."""
_PROCESSES = min(4, os.cpu_count() or 1)


def unpack_apart(frames: Sequence[bytes], about: dict) -> bytes:
    """Stored values of frames, one after the other. Raises ValueError if they are damaged.

    ``about`` holds what ``_image`` asks for: syntax (UID), photometric, width, height, samples,
    allocated, stored (bits), signed (0 or 1), planar (0 or 1). Many frames are shared out to
    processes side by side.
    """
    count = max(1, min(_PROCESSES, len(frames) // WORTH_A_PROCESS))
    ends = [len(frames) * part // count for part in range(count + 1)]
    shares = [frames[start:end] for start, end in pairwise(ends)]
    with ThreadPoolExecutor(count) as pool:
        return b"".join(pool.map(partial(_unpack, about=about), shares))


def _unpack(frames: Sequence[bytes], about: dict) -> bytes:
    header = json.dumps(about | {"lengths": [len(one) for one in frames]}).encode()
    command = [sys.executable, "-I", __file__]
    content = b"".join([header, b"\n", *frames])
    try:
        # What gdcm says of a file goes nowhere: it may quote it.
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError("unpacking takes too long") from error
    if done.returncode:
        raise ValueError("gdcm does not unpack this")
    return done.stdout


def _image(frame: bytes, about: dict):
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((about["width"], about["height"], 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(about["photometric"])
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if about["samples"] > 1:
        image.SetPlanarConfiguration(about["planar"])
    syntax = gdcm.TransferSyntax.GetTSType(about["syntax"])
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    bits = (about["allocated"], about["stored"], about["stored"] - 1)
    image.SetPixelFormat(gdcm.PixelFormat(about["samples"], *bits, about["signed"]))
    return image


def main() -> None:
    """Unpack what comes in."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    about = json.loads(source.readline())
    for length in about["lengths"]:
        # gdcm returns bytes as a text.
        pixels = _image(source.read(length), about).GetBuffer()
        target.write(pixels.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
