#!/usr/bin/env python3
"""pyav_build.py CORPUS OUT [--to-last]: what `ncaers bench build --detector none` does, with PyAV.

Decodes every clip on one thread to its end (or to the last wanted frame), draws a frame from each
2 s part, saves it with Pillow as JPEG 95 without chroma subsampling, and prints CPU milliseconds
per clip, imports not counted. Frames are counted in a first pass that is not timed.
Needs: pip install av pillow
"""
import json, os, random, resource, sys

import av
import PIL.Image


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def decode(path):
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        yield from container.decode(stream)


def main():
    corpus, out = sys.argv[1:3]
    to_last = "--to-last" in sys.argv
    os.makedirs(out, exist_ok=True)
    clips = sorted(os.path.join(d, f) for d, _, files in os.walk(corpus) for f in files if f.endswith((".avi", ".mp4", ".mkv")))
    wanted = {}
    for path in clips:
        frames, fps = 0, 25.0
        for frame in decode(path):
            frames += 1
        with av.open(path) as container:
            fps = float(container.streams.video[0].average_rate or 25)
        parts = max(1, int(frames / fps / 2 + 0.5))
        draw = random.Random(path)
        wanted[path] = {draw.randrange(frames * k // parts, frames * (k + 1) // parts) for k in range(parts)}
    start, saved = cpu_s(), 0
    for number, path in enumerate(clips):
        last = max(wanted[path])
        for index, frame in enumerate(decode(path)):
            if index in wanted[path]:
                picture = PIL.Image.fromarray(frame.to_ndarray(format="rgb24"))
                picture.save(os.path.join(out, f"{number}_{index}.jpg"), quality=95, subsampling=0)
                saved += 1
            if to_last and index >= last:
                break
    seconds = cpu_s() - start
    print(json.dumps({"peer": "pyav", "version": av.__version__, "clips": len(clips), "frames": saved,
                      "cpu_s": round(seconds, 3), "cpu_ms_per_clip": round(1e3 * seconds / len(clips), 2)}))


main()
