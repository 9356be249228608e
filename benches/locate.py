#!/usr/bin/env python3
"""Where do stills come from? Makes clips and stills of known origin, and scores `ncaers locate`.

    python3 benches/locate.py make  --out DIR [--seed N] [--clips N] [--films DIR]
    python3 benches/locate.py check --truth DIR/truth.csv --located OUT/located.csv

`make` needs PyAV, NumPy and Pillow. Stills are decoded by the FFmpeg inside PyAV's wheel, which is
another one than the program's. DIR/corpus holds the clips, DIR/stills the pictures, DIR/truth.csv
one row per still: still, kind, clip_id (empty: its clip is not in the corpus), twins (clips with
the same pictures), frame_index, run_first, run_last (frames whose decoded pixels differ from it by
no more than the recompression does).
"""
import argparse
import csv
import math
import os
import pathlib
import random
import shutil

import numpy as np

CLASSES = ["Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]
SIZES = [(720, 400), (720, 400), (640, 360), (480, 272)]
DIGITS = ["111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
          "111100111001111", "111100111101111", "111001001001001", "111101111101111", "111101111001111"]


def texture(rng, width, height):
    """A picture with detail at every scale: sums of smoothed noise, and some edges."""
    out = np.zeros((height, width, 3), np.float32)
    for step, weight in [(96, 70), (48, 40), (24, 25), (12, 14), (6, 8), (3, 5)]:
        grid = rng.standard_normal((height // step + 3, width // step + 3, 3)).astype(np.float32)
        ys, xs = np.arange(height) / step, np.arange(width) / step
        y0, x0 = ys.astype(int), xs.astype(int)
        fy, fx = (ys - y0)[:, None, None], (xs - x0)[None, :, None]
        top = grid[y0][:, x0] * (1 - fx) + grid[y0][:, x0 + 1] * fx
        low = grid[y0 + 1][:, x0] * (1 - fx) + grid[y0 + 1][:, x0 + 1] * fx
        out += weight * (top * (1 - fy) + low * fy)
    for _ in range(14):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(20, width // 3), rng.integers(20, height // 2)
        out[y:y + h, x:x + w] += rng.uniform(-60, 60, 3)
    return np.clip(out + rng.uniform(80, 150), 0, 255)


def photographs():
    """Pictures that scikit-image ships, where it is installed."""
    try:
        import skimage
        from PIL import Image
    except ImportError:
        return []
    folder = pathlib.Path(skimage.__file__).parent / "data"
    names = ["astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png",
             "retina.jpg", "hubble_deep_field.jpg", "brick.png", "gravel.png", "coins.png"]
    return [np.asarray(Image.open(folder / n).convert("RGB"), np.float32) for n in names if (folder / n).is_file()]


def resized(picture, width, height):
    from PIL import Image
    return np.asarray(Image.fromarray(picture.astype(np.uint8)).resize((width, height), Image.BICUBIC), np.float32)


def window(picture, x, y, width, height):
    """A window at any position, bilinear."""
    x0, y0 = int(math.floor(x)), int(math.floor(y))
    fx, fy = x - x0, y - y0
    part = picture[y0:y0 + height + 1, x0:x0 + width + 1]
    top = part[:-1, :-1] * (1 - fx) + part[:-1, 1:] * fx
    low = part[1:, :-1] * (1 - fx) + part[1:, 1:] * fx
    return top * (1 - fy) + low * fy


def person(frame, cx, cy, scale, mouth, shade):
    """A head with eyes and a mouth that moves."""
    h, w = frame.shape[:2]
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)

    def blob(x, y, rx, ry, colour):
        # Beyond 1.1 radii there is nothing of it.
        rows = slice(max(int(y - 1.1 * ry) - 1, 0), max(int(y + 1.1 * ry) + 2, 0))
        columns = slice(max(int(x - 1.1 * rx) - 1, 0), max(int(x + 1.1 * rx) + 2, 0))
        part = rows, columns
        d = ((xx[part] - x) / rx) ** 2 + ((yy[part] - y) / ry) ** 2
        a = np.clip((1.15 - d) / 0.3, 0, 1)[..., None]
        frame[part] = frame[part] * (1 - a) + np.array(colour, np.float32) * a

    blob(cx, cy + 1.9 * scale, 1.6 * scale, 1.1 * scale, [shade, 60, 90])
    blob(cx, cy, 0.75 * scale, scale, [205 - shade / 4, 160, 130])
    for side in (-1, 1):
        blob(cx + side * 0.3 * scale, cy - 0.2 * scale, 0.11 * scale, 0.08 * scale, [40, 30, 30])
    blob(cx, cy + 0.5 * scale, 0.3 * scale, (0.05 + 0.16 * mouth) * scale, [120, 30, 40])


def number(frame, n):
    """The frame's number, burned in."""
    for k, digit in enumerate(f"{n:04d}"):
        for i, bit in enumerate(DIGITS[int(digit)]):
            y, x = 8 + i // 3 * 4, 8 + k * 16 + i % 3 * 4
            frame[y:y + 4, x:x + 4] = 235 if bit == "1" else 20


def drawn(kind, rng, size, frames, pictures, sets):
    """Frames of a drawn clip, as float arrays."""
    width, height = size

    def backdrop():
        if pictures and rng.random() < 0.6:
            base = pictures[rng.integers(len(pictures))]
            zoom = rng.uniform(1.25, 1.8)
            scale = max(width * zoom / base.shape[1], height * zoom / base.shape[0])
            return resized(base, int(base.shape[1] * scale) + 2, int(base.shape[0] * scale) + 2)
        return texture(rng, int(width * 1.5), int(height * 1.5))

    def shot(count, still=False):
        back = backdrop() if kind != "set" else sets[rng.integers(len(sets))]
        room_x, room_y = back.shape[1] - width - 2, back.shape[0] - height - 2
        x, y = rng.uniform(0.1, 0.9) * room_x, rng.uniform(0.1, 0.9) * room_y
        if kind == "set":
            x, y = room_x / 2, room_y / 2
        pan = kind in ("pan", "cut") and not still
        vx, vy = (rng.uniform(-3, 3), rng.uniform(-0.8, 0.8)) if pan else (0, 0)
        cx, cy, scale = rng.uniform(0.25, 0.75) * width, rng.uniform(0.35, 0.5) * height, rng.uniform(0.12, 0.28) * height
        dx, phase, shade = rng.uniform(-1.2, 1.2), rng.uniform(0, 6), rng.uniform(40, 200)
        for k in range(count):
            px = min(max(x + vx * k, 0), room_x)
            py = min(max(y + vy * k, 0), room_y)
            frame = window(back, px, py, width, height).copy()
            sway = 0 if still else k
            mouth = 0.5 + 0.5 * math.sin(phase + sway * 0.7)
            person(frame, cx + dx * sway + 4 * math.sin(sway * 0.21), cy + 2 * math.sin(sway * 0.4), scale, mouth, shade)
            if not still:
                frame += rng.standard_normal((height, width, 1)).astype(np.float32) * 1.2
            yield frame

    if kind == "cut":
        parts = [frames // 3, frames // 3, frames - 2 * (frames // 3)]
        return (f for count in parts for f in shot(count))
    return shot(frames, still=kind == "static")


def filmed(path, first, frames, size):
    """Frames of a film, scaled; fewer where it ends."""
    import av
    with av.open(str(path)) as film:
        for k, frame in enumerate(film.decode(video=0)):
            if k >= first + frames:
                return
            if k >= first:
                yield frame.reformat(size[0], size[1], "rgb24").to_ndarray().astype(np.float32)


def encode(path, frames, size, coding, burn=True):
    """Writes a clip and returns the number of frames."""
    import av
    from fractions import Fraction
    name, options, pixel, late = {
        "mpeg4": ("mpeg4", {"qscale": "4", "flags": "+qscale", "bf": "0", "global_quality": "472"}, "yuv420p", 0),
        "mpeg4-b": ("mpeg4", {"bf": "2", "flags": "+qscale", "global_quality": "472"}, "yuv420p", 0),
        "late": ("mpeg4", {"bf": "0", "flags": "+qscale", "global_quality": "354"}, "yuv420p", 1),
        "h264": ("libx264", {"crf": "23", "preset": "fast", "bf": "2"}, "yuv420p", 0),
        "mjpeg": ("mjpeg", {"flags": "+qscale", "global_quality": "354"}, "yuvj420p", 0),
    }[coding]
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with av.open(str(path), "w") as out:
        stream = out.add_stream(name, rate=Fraction(24000, 1001), options=options)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], pixel
        stream.codec_context.thread_count = 1
        for k, frame in enumerate(frames):
            if burn:
                number(frame, k)
            picture = av.VideoFrame.from_ndarray(np.clip(frame + 0.5, 0, 255).astype(np.uint8), format="rgb24")
            picture.pts = k + late
            for packet in stream.encode(picture):
                out.mux(packet)
            count += 1
        for packet in stream.encode():
            out.mux(packet)
    return count


def decoded(path):
    """All frames of a clip, as RGB and as luma, by PyAV's own FFmpeg."""
    import av
    with av.open(str(path)) as clip:
        clip.streams.video[0].thread_count = 1
        return [(f.to_ndarray(format="rgb24"), np.asarray(f.to_ndarray(format="gray")).astype(np.int16)) for f in clip.decode(video=0)]


def treat(kind, rgb, rng):
    """The picture as somebody made it from a frame; returns it with the file's kind and quality."""
    from PIL import Image
    picture = Image.fromarray(rgb)
    width, height = picture.size
    quality = int(rng.integers(60, 96))
    if kind == "png":
        return picture, None
    if kind == "jpeg":
        return picture, quality
    if kind == "scaled":
        to = [(712, 400), (width // 2, height // 2), (int(width * 0.8), int(height * 0.8))][rng.integers(3)]
        return picture.resize(to, [Image.BICUBIC, Image.BILINEAR, Image.LANCZOS][rng.integers(3)]), max(quality, 75)
    if kind == "crop":
        left, right, top, bottom = rng.uniform(0, 0.1, 4) * rng.integers(0, 2, 4)
        left, right = (left, right) if left + right <= 0.1 else (left / 2, right / 2)
        top, bottom = (top, bottom) if top + bottom <= 0.1 else (top / 2, bottom / 2)
        if left + right + top + bottom < 0.02:
            left = top = 0.05
        box = (int(left * width), int(top * height), width - int(right * width), height - int(bottom * height))
        return picture.crop(box), quality if rng.random() < 0.7 else None
    if kind == "mirror":
        return picture.transpose(Image.FLIP_LEFT_RIGHT), quality
    if kind == "bright":
        gain, lift = rng.uniform(0.75, 1.2), rng.uniform(-15, 20)
        return Image.fromarray(np.clip(rgb * gain + lift, 0, 255).astype(np.uint8)), max(quality, 75)
    raise ValueError(kind)


KINDS = ["png", "jpeg", "scaled", "crop", "mirror", "bright"]


def make(args):
    out = pathlib.Path(args.out)
    rng = np.random.default_rng(args.seed)
    pictures = photographs()
    films = sorted(pathlib.Path(args.films).glob("*.mp4")) if args.films else []
    sets = [texture(rng, 1100, 620) for _ in range(2)]
    truth, corpus, absent = [], out / "corpus", out / "absent"
    kinds = ["pan", "talk", "cut", "set", "talk", "static", "film", "set", "pan", "film"]
    codings = [("mpeg4", "avi"), ("mpeg4-b", "avi"), ("h264", "mp4"), ("late", "avi"), ("mjpeg", "avi"), ("h264", "avi")]
    n, used = 0, {}
    for number_of_clip in range(args.clips):
        kind = kinds[number_of_clip % len(kinds)]
        size = SIZES[rng.integers(len(SIZES))]
        coding, ending = codings[number_of_clip % len(codings)]
        frames = int(rng.integers(args.frames // 2, args.frames))
        split, label = ("train", "test")[number_of_clip % 2], CLASSES[number_of_clip % 7]
        there = number_of_clip % 6 != 5
        home = corpus if there else absent
        stem = f"{number_of_clip:04d}"
        path = home / split / label / f"{stem}.{ending}"
        if kind == "film" and films:
            # No part of a film is in two clips.
            film = films[number_of_clip % len(films)]
            source = filmed(film, used.get(film, 0), min(frames, 60), size)
            used[film] = used.get(film, 0) + 60
        else:
            source = drawn("talk" if kind == "film" else kind, rng, size, frames, pictures, sets)
        if encode(path, source, size, coding) == 0:
            path.unlink()
            continue
        clip_id, twins = f"{split}/{label}/{stem}", []
        if there and number_of_clip % 9 == 4:
            other = path.with_name(f"{stem}b.{ending}")
            shutil.copy(path, other)
            twins.append(f"{split}/{label}/{stem}b")
        shown = decoded(path)
        for k in range(args.stills):
            t = int(rng.integers(len(shown)))
            how = KINDS[n % len(KINDS)]
            picture, quality = treat(how, shown[t][0], rng)
            name = f"{split}/{label}/{n:05d}.{'png' if quality is None else 'jpg'}"
            n += 1
            to = out / "stills" / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if quality is None:
                picture.save(to)
            else:
                picture.save(to, quality=quality)
            first = last = t
            loss = recompression(shown[t][0], quality)
            while first > 0 and change(shown, t, first - 1) <= loss:
                first -= 1
            while last + 1 < len(shown) and change(shown, t, last + 1) <= loss:
                last += 1
            truth.append([name, how, clip_id if there else "", ";".join(twins), t, first, last, kind, coding])
    with open(out / "truth.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["still", "kind", "clip_id", "twins", "frame_index", "run_first", "run_last", "scene", "coding"])
        writer.writerows(truth)
    print(f"{args.clips} clips, {len(truth)} stills in {out}")


def change(shown, a, b):
    return float(np.mean((shown[a][1] - shown[b][1]).astype(np.float32) ** 2))


def recompression(rgb, quality):
    """Mean square that saving changes, in luma levels."""
    if quality is None:
        return 0.0
    import io
    from PIL import Image
    held = io.BytesIO()
    Image.fromarray(rgb).save(held, "JPEG", quality=quality)
    back = np.asarray(Image.open(held).convert("L"), np.float32)
    return float(np.mean((back - np.asarray(Image.fromarray(rgb).convert("L"), np.float32)) ** 2))


def check(args):
    with open(args.truth, newline="") as file:
        truth = list(csv.DictReader(file))
    with open(args.located, newline="") as file:
        located = {row["still"]: row for row in csv.DictReader(file)}
    kinds = {}
    for row in truth:
        found = located.get(row["still"]) or located.get("stills/" + row["still"])
        if found is None:
            raise SystemExit(f"{row['still']} is in no row of {args.located}")
        c = kinds.setdefault(row["kind"], {"n": 0, "clip": 0, "run": 0, "sharp": 0, "exact": 0, "absent": 0, "false": 0})
        yes = found["status"] == "found"
        if not row["clip_id"]:
            c["absent"] += 1
            c["false"] += yes
            if yes and args.verbose:
                print("false", row, found)
            continue
        c["n"] += 1
        right = yes and found["clip_id"] in [row["clip_id"], *row["twins"].split(";")]
        c["clip"] += right
        sharp = row["run_first"] == row["run_last"]
        c["sharp"] += sharp
        exact = right and int(found["frame_index"]) == int(row["frame_index"])
        inside = right and int(row["run_first"]) <= int(found["frame_index"]) <= int(row["run_last"])
        c["run"] += inside
        c["exact"] += exact and sharp
        if args.verbose and (not right or not inside):
            print("miss", row, found)
    print("| stills | of clips there | right clip | neighbours told apart | exact frame of these | in the run, of all | of absent clips | found |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for kind, c in kinds.items():
        share = lambda a, b: f"{100 * a / b:.1f} %" if b else "-"
        print(f"| {kind} | {c['n']} | {share(c['clip'], c['n'])} | {c['sharp']} | {share(c['exact'], c['sharp'])} | "
              f"{share(c['run'], c['n'])} | {c['absent']} | {c['false']} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(required=True)
    p = sub.add_parser("make")
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--clips", type=int, default=60)
    p.add_argument("--frames", type=int, default=80)
    p.add_argument("--stills", type=int, default=6)
    p.add_argument("--films", help="folder of .mp4 films to cut clips from")
    p.set_defaults(run=make)
    p = sub.add_parser("check")
    p.add_argument("--truth", required=True)
    p.add_argument("--located", required=True)
    p.add_argument("--verbose", action="store_true")
    p.set_defaults(run=check)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
