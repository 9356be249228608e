#!/usr/bin/env python3
"""Do two FFmpegs decode the same pixels? Checks a recipe's digests with the FFmpeg inside PyAV's wheel.

    python3 benches/pixels.py make  --out DIR
    ncaers build --corpus DIR --detector none --seed 1 --balance none --segment-seconds 0.1 --out M && ncaers recipe M --out M-recipe
    python3 benches/pixels.py check --recipe M-recipe.csv --corpus DIR

`make` needs PyAV and NumPy and writes twelve kinds of AVI; `check` needs PyAV alone and works on any
recipe. The digest is that of docs/recipe.md.
"""
import argparse
import csv
import hashlib
import pathlib

KINDS = {
    "mpeg4": ("mpeg4", {"bf": "0"}, (400, 300), None),
    "mpeg4-b": ("mpeg4", {"bf": "2"}, (720, 400), None),
    "mpeg4-4mv-trellis": ("mpeg4", {"bf": "1", "flags": "+mv4", "trellis": "1"}, (640, 360), None),
    "mpeg4-qpel": ("mpeg4", {"bf": "2", "flags": "+qpel"}, (720, 480), None),
    "mpeg4-interlaced": ("mpeg4", {"bf": "1", "flags": "+ildct+ilme"}, (720, 480), None),
    "xvid": ("mpeg4", {"bf": "2", "mpeg_quant": "1"}, (624, 352), "XVID"),
    "divx": ("mpeg4", {"bf": "1"}, (512, 384), "DX50"),
    "msmpeg4": ("msmpeg4", {}, (480, 272), None),
    "h264-baseline": ("libx264", {"profile": "baseline", "crf": "24"}, (400, 300), None),
    "h264-main": ("libx264", {"profile": "main", "crf": "22", "bf": "3"}, (640, 360), None),
    "h264-high": ("libx264", {"profile": "high", "crf": "20", "bf": "3", "refs": "4"}, (720, 400), None),
    "h264-interlaced": ("libx264", {"x264-params": "tff=1", "crf": "22", "bf": "2"}, (720, 480), None),
}


def make(args):
    import av
    import locate
    import numpy as np
    from fractions import Fraction
    rng = np.random.default_rng(args.seed)
    for n, (kind, (codec, options, size, tag)) in enumerate(KINDS.items()):
        split, label = ("train", "test")[n % 2], locate.CLASSES[n % 7]
        path = pathlib.Path(args.out) / split / label / f"{kind}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as out:
            stream = out.add_stream(codec, rate=Fraction(24000, 1001), options=options)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.bit_rate = 900_000
            stream.codec_context.thread_count = 1
            if tag:
                stream.codec_context.codec_tag = tag
            scene = ("pan", "talk", "cut")[n % 3]
            for k, frame in enumerate(locate.drawn(scene, rng, size, args.frames, locate.photographs(), [])):
                locate.number(frame, k)
                picture = av.VideoFrame.from_ndarray(np.clip(frame + 0.5, 0, 255).astype(np.uint8), format="rgb24")
                picture.pts = k
                for packet in stream.encode(picture):
                    out.mux(packet)
            for packet in stream.encode():
                out.mux(packet)
        print(path)


def digest(frame):
    """As docs/recipe.md says; planes of 4:2:0, 4:2:2 and 4:4:4 of eight bits."""
    name = frame.format.name.replace("yuvj", "yuv")
    sha = hashlib.sha256(f"{name} {frame.width}x{frame.height}\n".encode())
    for plane in frame.planes:
        data = memoryview(plane)
        for y in range(plane.height):
            sha.update(data[y * plane.line_size:y * plane.line_size + plane.width])
    return sha.hexdigest()


def check(args):
    import av
    with open(args.recipe, newline="") as file:
        file.readline()
        rows = list(csv.DictReader(file))
    clips = {}
    for row in rows:
        clips.setdefault(row["clip_path"], {})[int(row["frame_index"])] = row["pixel_sha256"]
    alike = 0
    for path, wanted in sorted(clips.items()):
        found = {}
        with av.open(str(pathlib.Path(args.corpus) / path)) as clip:
            clip.streams.video[0].thread_count = 1
            if not args.inexact:
                clip.streams.video[0].codec_context.options = {"flags": "+bitexact"}
            for n, frame in enumerate(clip.decode(video=0)):
                if n in wanted:
                    found[n] = digest(frame)
        same = sum(found.get(n, "").startswith(d) for n, d in wanted.items())
        alike += same
        print(f"{path}: {same} of {len(wanted)} alike")
    versions = {k: ".".join(map(str, v)) for k, v in av.library_versions.items() if k in ("libavcodec", "libavformat")}
    print(f"{alike} of {len(rows)} frames have the recipe's pixels in PyAV {av.__version__}, {versions}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(required=True)
    p = sub.add_parser("make")
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--frames", type=int, default=100)
    p.set_defaults(run=make)
    p = sub.add_parser("check")
    p.add_argument("--recipe", required=True)
    p.add_argument("--corpus", required=True)
    p.add_argument("--inexact", action="store_true", help="as decoders are by default: without FFmpeg's flag bitexact")
    p.set_defaults(run=check)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
