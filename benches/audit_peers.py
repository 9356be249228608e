"""`ncaers` beside other tools on the same planted pictures and clips: kind x tool.

    python benches/audit_peers.py FOLDER --ncaers target/release/ncaers --work DIR [--tools A,B]

FOLDER is as `audit_planted.py` makes it. Every picture (or clip) of test is looked up among all of
train of its half. Each peer gives a pair a score; its threshold is the widest with which at least
0.99 of what it finds on half 0 is right, and what is printed is half 1. ncaers has its own fixed
thresholds. The peers:

    phash             imagehash, bits of 64
    id PHash, DHash, AHash, WHash    imagededup's, bits of 64 (its CNN needs torch and is left out)
    PDQ               pdqhash, bits of 256, the mirror image too
    SIFT              OpenCV: 500 features, ratio test 0.75, RANSAC homography, inliers; not mirrored.
                      It has no index: it sees the pictures of its own scene and of three others, and
                      its precision is over those

Clips: one frame a second; the score of two clips is the median over the seconds of the one in test
of the distance to the nearest of the other. SIFT holds the middle frame against all of them. ncaers
builds a manifest of the folder, and finds what lies in one group (joined transitively).

What a tool found is kept in DIR, so that one tool can be run again alone. Needs imagehash, imagededup,
pdqhash, opencv-python-headless and numpy.
"""
import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import types
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import cv2
import imagehash
import numpy as np
import pdqhash
from PIL import Image

# Of imagededup the hashes are wanted, not the network, which would ask for torch.
for name, wanted in [("methods.cnn", "CNN"), ("utils.models", "CustomModel"),
                     ("utils.data_generator", "img_dataloader")]:
    sys.modules.setdefault(f"imagededup.{name}", types.SimpleNamespace(**{wanted: None}))
from imagededup import methods as imagededup

cv2.setNumThreads(1)
PRECISION = 0.99
CUSTOMARY = {"phash": 10, "id PHash": 10, "id DHash": 10, "id AHash": 10, "id WHash": 10, "PDQ": 31,
             "SIFT": -15}


def rows_of(folder, what):
    paths = {str(p.relative_to(folder / what).with_suffix("")): p
             for p in (folder / what).rglob("*.*")}
    rows = list(csv.DictReader(open(folder / f"{what}.csv")))
    for r in rows:
        r["half"], r["path"] = int(r["half"]), paths[r["id"]]
        r["split"] = r["id"].split("/")[0]
    return rows


def frames_of(path):
    """BGR: a picture, or one frame a second of a clip."""
    if path.suffix != ".avi":
        return [cv2.imread(str(path))]
    video = cv2.VideoCapture(str(path))
    fps, found, at = video.get(cv2.CAP_PROP_FPS), [], 0
    while video.grab():
        if at >= len(found) * fps:
            found.append(video.retrieve()[1])
        at += 1
    return found


# Peers ---------------------------------------------------------------------------------------

def of_imagehash(a):
    return [imagehash.phash(Image.fromarray(a[..., ::-1])).hash.ravel()]


def of_imagededup(name):
    hasher = getattr(imagededup, name)()
    def hashed(a):
        text = hasher.encode_image(image_array=np.ascontiguousarray(a[..., ::-1]))
        return [np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(bool)]
    return hashed


def of_pdq(a):
    all_ways, _ = pdqhash.compute_dihedral(np.ascontiguousarray(a[..., ::-1]))
    return [all_ways[0], all_ways[5]]


def by_hash(rows, hashed):
    """Score of every pair of test and train."""
    own = {r["id"]: [hashed(a) for a in frames_of(r["path"])] for r in rows}
    train = [r["id"] for r in rows if r["split"] == "train"]
    # Moments of train side by side, and where each clip of them begins.
    there = np.array([moment[0] for t in train for moment in own[t]], dtype=bool)
    starts = np.cumsum([0] + [len(own[t]) for t in train])[:-1]
    scores = {}
    for r in rows:
        if r["split"] != "test" or not own[r["id"]]:
            continue
        ways = []
        for way in range(len(own[r["id"]][0])):
            here = np.array([moment[way] for moment in own[r["id"]]], dtype=bool)
            bits = (here[:, None] != there[None]).sum(2)
            nearest = np.minimum.reduceat(bits, starts, axis=1)
            ways.append(np.median(nearest, axis=0))
        scores |= {(r["id"], t): float(s) for t, s in zip(train, np.min(ways, axis=0))}
    return scores


def by_sift(rows):
    """Minus the inliers of the pairs that are looked at."""
    finder, matcher = cv2.SIFT_create(nfeatures=500), cv2.BFMatcher()
    def seen(r):
        frames = frames_of(r["path"])
        if r["split"] == "test":
            frames = frames[len(frames) // 2:][:1]
        return [finder.detectAndCompute(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), None) for a in frames]
    train = [(r, seen(r)) for r in rows if r["split"] == "train"]
    rng = np.random.default_rng(1)
    scores = {}
    for r in rows:
        if r["split"] != "test":
            continue
        own = [t for t in train if t[0]["scene"] == r["scene"]]
        others = [t for t in train if t[0]["scene"] != r["scene"]]
        own += [others[i] for i in rng.choice(len(others), min(3, len(others)), replace=False)]
        here = seen(r)
        for t, there in own:
            inliers = [following(matcher, a, b) for a in here for b in there]
            scores[r["id"], t["id"]] = -float(max(inliers, default=0))
    return scores


def following(matcher, a, b):
    """Matches that follow one homography."""
    (points, words), (its_points, its_words) = a, b
    if words is None or its_words is None or len(its_words) < 2:
        return 0
    best = [m for m in matcher.knnMatch(words, its_words, k=2) if len(m) == 2]
    good = [m for m, n in best if m.distance < 0.75 * n.distance]
    if len(good) < 5:
        return 0
    here = np.float32([points[m.queryIdx].pt for m in good])
    there = np.float32([its_points[m.trainIdx].pt for m in good])
    _, mask = cv2.findHomography(here, there, cv2.RANSAC, 5.0)
    return 0 if mask is None else int(mask.sum())


# Ours ----------------------------------------------------------------------------------------

def linked(rows, root):
    """A folder that holds these and nothing else."""
    for r in rows:
        link = root / r["path"].relative_to(r["path"].parents[2])
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(r["path"].resolve())
    return root


def of_stills(program, rows, work):
    out = work / "audit"
    command = [program, "audit", "--root", linked(rows, work / "root"), "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    pairs = list(csv.DictReader(open(out / "pairs.csv")))
    found = {(r["sample_id"], r["partner_id"]): 0.0 for r in pairs}
    # Only the five nearest of a picture are listed.
    told = sum(leak["pairs"] for leak in json.load(open(out / "audit.json"))["leaks"])
    print(f"ncaers: {len(found)} of {told} pairs are listed")
    return found


def of_clips(program, rows, work):
    import pyarrow.parquet
    out = work / "manifest"
    command = [program, "build", "--corpus", linked(rows, work / "clips"), "--out", out, "--seed",
               "1", "--detector", "none", "--balance", "none", "--on-leak", "keep"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table = pyarrow.parquet.read_table(out / "clips.parquet", columns=["clip_id", "group_id"])
    group = {r["clip_id"].rsplit(".", 1)[0]: r["group_id"] for r in table.to_pylist()}
    test, train = ([r["id"] for r in rows if r["split"] == s] for s in ("test", "train"))
    return {(a, b): 0.0 for a in test for b in train if group[a] is not None and group[a] == group[b]}


# The table -----------------------------------------------------------------------------------

def cpu():
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in (own, children))


def scored(name, tool, rows, work):
    """The scores and the CPU seconds they took, this time or an earlier one."""
    kept = work / f"{name.replace(' ', '-')}.json"
    if not kept.exists():
        start = cpu()
        scores = tool(rows)
        kept.write_text(json.dumps([[[*pair, s] for pair, s in scores.items()], cpu() - start]))
    scores, seconds = json.loads(kept.read_text())
    return {(a, b): s for a, b, s in scores}, seconds


def threshold(scores, true):
    """The widest with which enough of what is found is right."""
    order = sorted(scores, key=scores.get)
    best, right = -np.inf, 0
    for n, pair in enumerate(order, 1):
        right += pair in true
        last = n == len(order) or scores[order[n]] > scores[pair]
        if last and right >= PRECISION * n:
            best = scores[pair]
    return best


def copies(rows):
    return [(r["kind"], (r["id"], r["origin"])) for r in rows if r["origin"]]


def line(cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def report(found, seconds, rows):
    true = {pair for _, pair in copies(rows)}
    line(["kind", "copies", *found])
    print("| --- |" + " --: |" * (len(found) + 1))
    for kind in dict.fromkeys(kind for kind, _ in copies(rows)):
        own = [pair for k, pair in copies(rows) if k == kind]
        line([kind, len(own), *(f"{len(f & set(own)) / len(own):.3f}" for f in found.values())])
    line(["**all**", len(true), *(f"{len(f & true) / len(true):.3f}" for f in found.values())])
    scene = {r["id"]: r["scene"] for r in rows}
    test, train = ([r for r in rows if r["split"] == s] for s in ("test", "train"))
    hard = sum(a["scene"] == b["scene"] and a["origin"] != b["id"] for a in test for b in train)
    easy = len(test) * len(train) - hard - len(true)
    for name, same in [(f"false of {hard} of one scene", True), (f"false of {easy} others", False)]:
        wrong = [[p for p in f - true if (scene[p[0]] == scene[p[1]]) == same] for f in found.values()]
        line([name, "", *map(len, wrong)])
    line(["precision", "", *(f"{len(f & true) / max(1, len(f)):.4f}" for f in found.values())])
    line(["CPU s", "", *(f"{s:.0f}" for s in seconds.values())])


def compare(folder, what, args):
    rows = rows_of(folder, what)
    ours = of_clips if what == "clips" else of_stills
    tools = {"phash": lambda r: by_hash(r, of_imagehash)}
    for name in ["PHash", "DHash", "AHash", "WHash"]:
        tools[f"id {name}"] = lambda r, name=name: by_hash(r, of_imagededup(name))
    tools |= {"PDQ": lambda r: by_hash(r, of_pdq), "SIFT": by_sift}
    tools = {t: f for t, f in tools.items() if args.tools is None or t in args.tools.split(",")}
    halves = [[r for r in rows if r["half"] == half] for half in (0, 1)]
    works = [args.work / what / str(half) for half in (0, 1)]
    for work in works:
        work.mkdir(parents=True, exist_ok=True)
    truths = [{pair for _, pair in copies(half)} for half in halves]
    mine = lambda r: ours(args.ncaers.resolve(), r, works[1])
    scores, took = scored("ncaers", mine, halves[1], works[1])
    found, seconds, customary = {"ncaers": set(scores)}, {"ncaers": took}, []
    for name, tool in tools.items():
        before, _ = scored(name, tool, halves[0], works[0])
        most = threshold(before, truths[0])
        scores, took = scored(name, tool, halves[1], works[1])
        column = f"{name} {abs(most):g}" if np.isfinite(most) else f"{name} (none)"
        found[column] = {pair for pair, s in scores.items() if s <= most}
        seconds[column] = took
        usual = {pair for pair, s in scores.items() if s <= CUSTOMARY[name]}
        right = len(usual & truths[1])
        customary.append(f"{name} at {abs(CUSTOMARY[name])}: recall {right / len(truths[1]):.3f}, "
                         f"precision {right / max(1, len(usual)):.4f}")
    print(f"\n## {what}, half 1\n")
    report(found, seconds, halves[1])
    print("\nAt customary thresholds: " + "; ".join(customary))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ncaers", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tools", help="peers to run, with commas; all when absent")
    args = parser.parse_args()
    for what in ["stills", "clips"]:
        if (args.folder / f"{what}.csv").exists():
            compare(args.folder, what, args)


if __name__ == "__main__":
    main()
