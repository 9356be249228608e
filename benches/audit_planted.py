"""Pictures and clips with planted copies: what a leak looks like after cropping, logos, bars and so
on, and what only looks like one.

    python benches/audit_planted.py --clips CORPUS --out FOLDER [--most 40] [--seed 1]

CORPUS is a folder as `ncaers demo-corpus` writes it (it may be left out: photographs alone).
Photographs are those that scikit-image and scikit-learn ship. `--footage DIR` adds films and
photographs of your own: up to ten pictures of a film, two seconds apart, are takes of one scene
(the same person before the same wall), and so are pieces of four seconds of it, as clips. FOLDER gets

    stills/{train,test}/Neutral/NNNN.(png|jpg)   originals and hard negatives; copies
    stills.csv                                  id, half, kind, origin, scene
    clips/{train,test}/Neutral/NNNN.avi         likewise, and clips.csv

`origin` is the train picture that a test picture was made of; a test picture without one is a hard
negative: another take of a scene (same room, same person), and so are other train pictures of its
scene. `half` is 0 for the half on which thresholds may be chosen, 1 for the half that is reported;
scenes never cross. The same arguments give the same pixels.
"""
import argparse
import csv
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import cv2
import numpy as np

cv2.setNumThreads(1)
WIDTH, HEIGHT = 712, 400
FILMS, PHOTOGRAPHS = {".mp4", ".avi", ".mkv", ".webm"}, {".jpg", ".jpeg", ".png"}


# What is done to a picture -------------------------------------------------------------------

def crop(a, left, top, right, bottom):
    h, w = a.shape[:2]
    return a[round(h * top):h - round(h * bottom), round(w * left):w - round(w * right)]


def logo(a, share):
    a = a.copy()
    side = int(a.shape[1] * share)
    x, y = a.shape[1] - side - side // 5, side // 5
    side = min(side, a.shape[0] - y)
    part = a[y:y + side, x:x + side]
    part[:] = part // 2 + 60
    c = side // 2
    cv2.circle(part, (c, c), int(0.4 * side), (245, 245, 245), -1)
    cv2.rectangle(part, (int(0.15 * side), int(0.4 * side)), (int(0.85 * side), int(0.6 * side)),
                  (60, 30, 30), -1)
    return a


def bars(a, share, vertical, level=0):
    """The picture between two bars that take `share` of the new picture."""
    h, w = a.shape[:2]
    if vertical:
        n = int(w * share / (1 - share) / 2)
        return cv2.copyMakeBorder(a, 0, 0, n, n, cv2.BORDER_CONSTANT, value=(level,) * 3)
    n = int(h * share / (1 - share) / 2)
    return cv2.copyMakeBorder(a, n, n, 0, 0, cv2.BORDER_CONSTANT, value=(level,) * 3)


def blurred_bars(a, share):
    h, w = a.shape[:2]
    wide = int(w / (1 - share))
    big = cv2.resize(a, (wide, int(h * wide / w)), interpolation=cv2.INTER_AREA)
    top = (big.shape[0] - h) // 2
    back = cv2.GaussianBlur(big[top:top + h], (0, 0), 18)
    x = (wide - w) // 2
    back[:, x:x + w] = a
    return back


def subtitles(a, lines=2):
    a = a.copy()
    h, w = a.shape[:2]
    words = ["I never said that it was you", "but somebody has to tell him now"]
    scale, thick = w / 712 * 1.0, max(1, round(w / 300))
    for i, text in enumerate(words[:lines]):
        (tw, th), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        at = ((w - tw) // 2, int(h * 0.95) - (lines - 1 - i) * int(th * 1.6))
        cv2.putText(a, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), thick + 3, cv2.LINE_AA)
        cv2.putText(a, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick,
                    cv2.LINE_AA)
    return a


def rotated(a, degrees):
    """Turned, and cut to what holds no corner of nothing."""
    h, w = a.shape[:2]
    m = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1)
    turned = cv2.warpAffine(a, m, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    r = np.deg2rad(abs(degrees))
    k = 1 / (np.cos(r) + np.sin(r) * w / h)
    x, y = int(w * (1 - k) / 2), int(h * (1 - k) / 2)
    return turned[y:h - y, x:w - x]


def inset(a, other, share):
    a = a.copy()
    h, w = a.shape[:2]
    small = cv2.resize(other, (int(w * share), int(h * share)), interpolation=cv2.INTER_AREA)
    y, x = h - small.shape[0] - h // 25, w - small.shape[1] - w // 40
    a[y:y + small.shape[0], x:x + small.shape[1]] = small
    return a


def shown_small(a, other, share):
    """The picture small on a blur of another."""
    h, w = a.shape[:2]
    back = cv2.GaussianBlur(cv2.resize(other, (w, h)), (0, 0), 25)
    small = cv2.resize(a, (int(w * share), int(h * share)), interpolation=cv2.INTER_AREA)
    y, x = (h - small.shape[0]) // 2, (w - small.shape[1]) // 2
    back[y:y + small.shape[0], x:x + small.shape[1]] = small
    return back


def levels(a, function):
    table = np.clip(np.round(function(np.arange(256) / 255.0) * 255), 0, 255).astype(np.uint8)
    return table[a]


def scaled(a, factor):
    size = (round(a.shape[1] * factor), round(a.shape[0] * factor))
    return cv2.resize(a, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def grey(a):
    return cv2.cvtColor(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


# kind: (function of picture and another picture, JPEG quality or None for PNG)
STILLS = {
    "re-encoded": (lambda a, o: a, 60),
    "JPEG 20": (lambda a, o: a, 20),
    "scaled to half": (lambda a, o: scaled(a, 0.5), 85),
    "scaled by 1.3": (lambda a, o: scaled(a, 1.3), 85),
    "stretched 720 to 712": (lambda a, o: cv2.resize(a, (a.shape[1] * 16 // 17, a.shape[0])), 85),
    "brightness": (lambda a, o: levels(a, lambda v: v * 1.2), 85),
    "gamma": (lambda a, o: levels(a, lambda v: v ** 0.7), 85),
    "grey": (lambda a, o: grey(a), 85),
    "mirrored": (lambda a, o: a[:, ::-1], 85),
    "cropped 5 %": (lambda a, o: crop(a, .025, .025, .025, .025), 85),
    "cropped 10 %": (lambda a, o: crop(a, .05, .05, .05, .05), 85),
    "cropped 15 %": (lambda a, o: crop(a, .075, .075, .075, .075), 85),
    "cropped 25 %": (lambda a, o: crop(a, .125, .125, .125, .125), 85),
    "one side 5 %": (lambda a, o: crop(a, .05, 0, 0, 0), 85),
    "one side 10 %": (lambda a, o: crop(a, 0, 0, 0, .1), 85),
    "one side 25 %": (lambda a, o: crop(a, 0, 0, .25, 0), 85),
    "logo 12 %": (lambda a, o: logo(a, .12), 85),
    "logo 20 %": (lambda a, o: logo(a, .2), 85),
    "letterbox": (lambda a, o: bars(a, .24, False), 85),
    "pillarbox": (lambda a, o: bars(a, .3, True), 85),
    "white bars": (lambda a, o: bars(a, .2, False, 255), 85),
    "blurred bars": (lambda a, o: blurred_bars(a, .4), 85),
    "subtitles": (lambda a, o: subtitles(a), 85),
    "rotated 3 degrees": (lambda a, o: rotated(a, 3), 85),
    "rotated 10 degrees": (lambda a, o: rotated(a, -10), 85),
    "inset": (lambda a, o: inset(a, o, .3), 85),
    "cropped 10 % + logo": (lambda a, o: logo(crop(a, .05, .05, .05, .05), .15), 85),
    "mirrored + subtitles": (lambda a, o: subtitles(a[:, ::-1]), 85),
    "letterbox + gamma": (lambda a, o: bars(levels(a, lambda v: v ** 1.3), .24, False), 60),
    "shown small": (lambda a, o: shown_small(a, o, .45), 85),
}
# kind: (function of a picture and another, speed or speed and seconds cut off in front)
CLIPS = {
    "re-encoded": (lambda a, o: a, 1.0),
    "scaled to half": (lambda a, o: scaled(a, 0.5), 1.0),
    "mirrored": (lambda a, o: a[:, ::-1], 1.0),
    "cropped 10 %": (lambda a, o: crop(a, .05, .05, .05, .05), 1.0),
    "logo 12 %": (lambda a, o: logo(a, .12), 1.0),
    "logo 20 %": (lambda a, o: logo(a, .2), 1.0),
    "letterbox": (lambda a, o: bars(a, .24, False), 1.0),
    "subtitles": (lambda a, o: subtitles(a), 1.0),
    "rotated 3 degrees": (lambda a, o: rotated(a, 3), 1.0),
    "brightness": (lambda a, o: levels(a, lambda v: v * 1.15), 1.0),
    "trimmed 0.25 s": (lambda a, o: a, (1.0, 0.25)),
    "trimmed 0.5 s": (lambda a, o: a, (1.0, 0.5)),
    "speed x 0.8": (lambda a, o: a, 0.8),
    "speed x 1.25": (lambda a, o: a, 1.25),
}


# Scenes ------------------------------------------------------------------------------------

def photographs():
    from skimage import data
    names = ["coffee", "chelsea", "rocket", "retina", "immunohistochemistry", "hubble_deep_field",
             "camera", "coins", "brick", "grass", "gravel", "page", "moon"]
    found = {}
    for name in names:
        try:
            a = getattr(data, name)()
        except Exception:
            continue
        a = np.stack([a] * 3, -1) if a.ndim == 2 else a[..., :3]
        found[name] = a[..., ::-1]
    found["stereo left"] = data.stereo_motorcycle()[0][..., ::-1]
    try:
        from sklearn.datasets import load_sample_images
        for name, a in zip(["china", "flower"], load_sample_images().images):
            found[name] = a[..., ::-1]
    except ImportError:
        pass
    return {name: frame(a) for name, a in found.items()}


def frame(a):
    """The middle of a picture at 712 x 400."""
    h, w = a.shape[:2]
    k = max(WIDTH / w, HEIGHT / h)
    a = cv2.resize(a, (max(WIDTH, round(w * k)), max(HEIGHT, round(h * k))),
                   interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_CUBIC)
    y, x = (a.shape[0] - HEIGHT) // 2, (a.shape[1] - WIDTH) // 2
    return np.ascontiguousarray(a[y:y + HEIGHT, x:x + WIDTH])


def actors():
    from skimage import data
    astronaut = data.astronaut()[..., ::-1]
    cat = data.chelsea()[..., ::-1]
    def cut(a, x, y, w, h):
        part = a[y:y + h, x:x + w]
        v, u = np.mgrid[0:h, 0:w]
        mask = ((u - w / 2) / (w / 2)) ** 2 + ((v - h / 2) / (h / 2)) ** 2 < 0.95
        return part, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2)
    return [cut(astronaut, 120, 10, 220, 280), cut(cat, 90, 20, 250, 250)]


def takes(room, actor, rng, n):
    """`n` pictures of one actor before one room by a camera that stands still."""
    out = []
    part, mask = actor
    x0, y0 = rng.uniform(.25, .55) * WIDTH, rng.uniform(.15, .3) * HEIGHT
    size = rng.uniform(.8, 1.15)
    for _ in range(n):
        k = size * rng.uniform(.97, 1.03)
        angle = rng.uniform(-8, 8)
        h, w = part.shape[:2]
        m = cv2.getRotationMatrix2D((w / 2, h / 2), angle, k)
        m[:, 2] += [x0 + rng.uniform(-45, 45), y0 + rng.uniform(-20, 20)]
        layer = cv2.warpAffine(part, m, (WIDTH, HEIGHT))
        over = cv2.warpAffine(mask, m, (WIDTH, HEIGHT))[..., None]
        a = room * (1 - over) + layer * over + rng.normal(0, 2, room.shape)
        out.append(np.clip(a, 0, 255).astype(np.uint8))
    return out


def portraits(rng, n):
    """One speaker before one wall, as in studio recordings: head and mouth move a little."""
    from skimage import data
    a = data.astronaut()[..., ::-1][0:290, 40:440]
    wall = np.full((HEIGHT, WIDTH, 3), (92, 128, 96), np.float32)
    h, w = a.shape[:2]
    k = HEIGHT / h
    out = []
    v, u = np.mgrid[0:h, 0:w].astype(np.float32)
    body = ((u - 185) / 150) ** 2 + ((v - 200) / 190) ** 2 < 1
    body = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 3)
    for _ in range(n):
        head = np.exp(-(((u - 185) / 75) ** 2 + ((v - 100) / 85) ** 2))
        mouth = np.exp(-(((u - 186) / 26) ** 2 + ((v - 143) / 14) ** 2))
        dx, dy = rng.uniform(-30, 30), rng.uniform(-14, 14)
        mx = u + dx * head
        my = v + dy * head + rng.uniform(-16, 16) * mouth
        face = cv2.remap(a, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_LINEAR)
        m = np.float32([[k, 0, WIDTH / 2 - 185 * k + rng.uniform(-10, 10)],
                        [0, k, rng.uniform(-4, 4)]])
        layer = cv2.warpAffine(face, m, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        over = cv2.warpAffine(body, m, (WIDTH, HEIGHT))[..., None]
        b = wall * (1 - over) + layer * over + rng.normal(0, 2, wall.shape)
        out.append(np.clip(b, 0, 255).astype(np.uint8))
    return out


def read_clip(path):
    video = cv2.VideoCapture(str(path))
    fps, frames = video.get(cv2.CAP_PROP_FPS), []
    while True:
        ok, a = video.read()
        if not ok:
            return fps, frames
        frames.append(a)


def drawn(corpus, most):
    """(scene, clip) of a demo corpus, people with several clips first."""
    rows = list(csv.DictReader(open(corpus / "truth.csv")))
    people = {}
    for row in rows:
        people.setdefault(row["person"], []).append(row)
    order = sorted(people.values(), key=lambda takes: -len(takes))
    return [(r["person"], corpus / r["path"]) for takes in order for r in takes][:most]


def footage(folder, takes=10, seconds=2.0):
    """(half, scene, pictures) of the films and photographs below a folder."""
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix in FILMS | PHOTOGRAPHS]
    for number, path in enumerate(paths):
        if path.suffix in PHOTOGRAPHS:
            pictures = [cv2.imread(str(path))]
        else:
            fps, frames = read_clip(path)
            pictures = frames[::max(1, round(seconds * fps))][:takes]
        if pictures and pictures[0] is not None:
            yield number % 2, f"footage {path.stem}", [frame(a) for a in pictures]


def scenes(corpus, own, most, rng):
    """(half, scene, pictures): the pictures of a scene are takes of it."""
    found, photos = list(footage(own)) if own else [], photographs()
    cast = actors()
    for i, (name, room) in enumerate(photos.items()):
        found.append((i % 2, f"photo {name}", [room]))
        for k, actor in enumerate(cast):
            if k == i // 2 % 2:
                found.append((i % 2, f"takes {name} {k}", takes(room, actor, rng, 4)))
    found += [(i, f"speaker {i}", portraits(rng, 8)) for i in range(2)]
    people = {}
    for person, path in drawn(corpus, most) if corpus else []:
        _, frames = read_clip(path)
        people.setdefault(person, []).append(frames[len(frames) // 2])
    for i, (person, pictures) in enumerate(people.items()):
        found.append((i % 2, f"drawn {person}", [np.ascontiguousarray(p) for p in pictures]))
    return found


def write_stills(out, corpus, own, most, rng):
    rows, number = [], {"train": 0, "test": 0}
    def save(split, a, quality, **known):
        folder = out / "stills" / split / "Neutral"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number[split]:05d}"
        number[split] += 1
        options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
        cv2.imwrite(str(folder / f"{name}.{'png' if quality is None else 'jpg'}"), a, options)
        rows.append({"id": f"{split}/Neutral/{name}", **known})
        return rows[-1]["id"]
    all_scenes = scenes(corpus, own, most, rng)
    kinds = list(STILLS.items())
    for s, (half, scene, pictures) in enumerate(all_scenes):
        other = all_scenes[(s + 7) % len(all_scenes)][2][0]
        # One picture of every scene is in test as it is: a hard negative for its sisters.
        held, originals = (pictures[-1:], pictures[:-1]) if len(pictures) > 1 else ([], pictures)
        for a in held:
            save("test", a, 90, half=half, kind="other take", origin="", scene=scene)
        for p, a in enumerate(originals):
            origin = save("train", a, None, half=half, kind="", origin="", scene=scene)
            # All kinds of the first picture, a third of them of the others.
            for k, (kind, (change, quality)) in enumerate(kinds):
                if p == 0 or (k + p) % 3 == 0:
                    b = np.ascontiguousarray(change(a, other))
                    save("test", b, quality, half=half, kind=kind, origin=origin, scene=scene)
    table(out / "stills.csv", rows)


def pieces(folder, seconds=4.0):
    """(half, scene, fps, pieces) of the films below a folder, at half the size of stills."""
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix in FILMS]
    for number, path in enumerate(paths):
        fps, frames = read_clip(path)
        small = [cv2.resize(frame(a), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
                 for a in frames]
        n = round(seconds * fps)
        cut = [small[i:i + n] for i in range(0, len(small), n)]
        cut = [c for c in cut if len(c) > n // 2]
        if cut:
            yield number % 2, f"footage {path.stem}", fps, cut


def takes_of_clips(corpus, own, most):
    """(half, scene, fps, clips): the clips of a scene are takes of it."""
    yield from pieces(own) if own else []
    people = {}
    for person, path in drawn(corpus, most) if corpus else []:
        people.setdefault(person, []).append(read_clip(path))
    for i, (person, films) in enumerate(people.items()):
        yield i % 2, person, films[0][0], [frames for _, frames in films]


def write_clips(out, corpus, own, most):
    rows, number = [], {"train": 0, "test": 0}
    def save(split, frames, fps, **known):
        folder = out / "clips" / split / "Neutral"
        folder.mkdir(parents=True, exist_ok=True)
        h, w = frames[0].shape[:2]
        h, w = h // 2 * 2, w // 2 * 2
        name = f"{number[split]:04d}"
        number[split] += 1
        code = cv2.VideoWriter_fourcc(*"MJPG" if split == "train" else "mp4v")
        video = cv2.VideoWriter(str(folder / f"{name}.avi"), code, fps, (w, h))
        for a in frames:
            video.write(np.ascontiguousarray(a[:h, :w]))
        video.release()
        rows.append({"id": f"{split}/Neutral/{name}", **known})
        return rows[-1]["id"]
    other = None
    for half, scene, fps, clips in takes_of_clips(corpus, own, most):
        # The last take is in test as it is, a hard negative; copies are made of the first.
        held, kept = (clips[-1:], clips[:-1]) if len(clips) > 1 else ([], clips)
        for frames in held:
            save("test", frames, fps, half=half, kind="other take", origin="", scene=scene)
        origins = [save("train", frames, fps, half=half, kind="", origin="", scene=scene)
                   for frames in kept]
        frames = kept[0]
        other = frames[0] if other is None else other
        for kind, (change, time) in CLIPS.items():
            speed, start = time if isinstance(time, tuple) else (time, 0.0)
            left = frames[round(start * fps):]
            at = [round(start * fps) + int(j * speed) for j in range(int(len(left) / speed))]
            made = [np.ascontiguousarray(change(frames[j], other)) for j in at]
            save("test", made, fps, half=half, kind=kind, origin=origins[0], scene=scene)
        other = frames[0]
    table(out / "clips.csv", rows)


def table(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "half", "kind", "origin", "scene"])
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-films", action="store_true", help="stills alone")
    parser.add_argument("--no-stills", action="store_true", help="clips alone")
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    if not args.no_stills:
        write_stills(args.out, args.clips, args.footage, args.most, np.random.default_rng(args.seed))
    if (args.clips or args.footage) and not args.no_films:
        write_clips(args.out, args.clips, args.footage, args.most)


if __name__ == "__main__":
    main()
