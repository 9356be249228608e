"""Golden boxes of tests/mmod.rs, from dlib itself.

    pip install dlib-bin numpy pillow
    MMOD_PICTURES=FOLDER cargo test --release --test mmod -- --ignored write_pictures
    python tests/tools/mmod_boxes.py WEIGHTS.dat FOLDER > tests/fixtures/mmod/boxes.json

Notes go to stderr: dlib's version, seconds per picture, and every score within 1e-3 of 0.
"""
import json
import sys
import time

import dlib
import numpy
from PIL import Image


def main(weights, folder):
    detector = dlib.cnn_face_detection_model_v1(weights)
    with open(f"{folder}/cases.json") as file:
        cases = json.load(file)
    print(f"dlib {dlib.__version__}", file=sys.stderr)
    for case in cases:
        image = numpy.asarray(Image.open(f"{folder}/{case['picture']}.png").convert("RGB"))
        if case["channels"] == "bgr":
            image = image[:, :, ::-1]
        start = time.monotonic()
        found = detector(numpy.ascontiguousarray(image), case["upsample"])
        seconds = time.monotonic() - start
        case["boxes"] = [
            [f.rect.left(), f.rect.top(), f.rect.right(), f.rect.bottom(), f.confidence] for f in found
        ]
        name = f"{case['picture']} upsample {case['upsample']} {case['channels']}"
        print(f"{seconds:7.2f} s, {len(found):2} boxes: {name}", file=sys.stderr)
        for box in case["boxes"]:
            if box[4] < 1e-3:
                print(f"         near-tie: {box}", file=sys.stderr)
    print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")


if __name__ == "__main__":
    main(*sys.argv[1:])
