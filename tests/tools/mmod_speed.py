"""dlib and ncaers in turn on one picture: processor seconds of one thread, for docs/measurements/mmod.md.

    pip install dlib-bin numpy pillow
    OMP_NUM_THREADS=1 taskset -c 0 python tests/tools/mmod_speed.py WEIGHTS.dat PICTURE NCAERS [ROUNDS] [UPSAMPLES]

PICTURE is the rustface crate's test.png, of which columns 833..1545 and rows 0..400 are taken; NCAERS is the program.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import dlib
import numpy
from PIL import Image


def ours(ncaers, weights, picture, upsample, *more):
    command = [ncaers, "--json", "bench", "detect", "--detector", "mmod", "--mmod-weights", weights]
    command += ["--upsample", str(upsample), "--rounds", "3", *more, picture]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return f"{told['cpu_ms_per_picture'] / 1e3:.3f} s ({told['faces']})"


def main(weights, picture, ncaers, rounds="3", upsamples="0,1,2"):
    detector = dlib.cnn_face_detection_model_v1(weights)
    cut = Image.open(picture).convert("RGB").crop((833, 0, 1545, 400))
    pixels = numpy.ascontiguousarray(numpy.asarray(cut))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cut.png")
        cut.save(path)
        for _ in range(int(rounds)):
            for upsample in map(int, upsamples.split(",")):
                start = time.process_time()
                found = detector(pixels, upsample)
                seconds = time.process_time() - start
                mine = ours(ncaers, weights, path, upsample)
                large = ours(ncaers, weights, path, upsample, "--min-face", "80")
                print(f"upsample {upsample}: dlib {seconds:.2f} s ({len(found)}), "
                      f"ncaers {mine}, with --min-face 80 {large}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
