"""Precision at k of planted label flips: ncaers audit --labels beside cleanlab, same probabilities.

Needs numpy, scikit-learn and cleanlab. Handwritten digits of scikit-learn; groups of up to 4
samples of one class stand for videos, folds are made by group, the model is a logistic regression.
usage: label_noise.py path/to/ncaers
"""
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from cleanlab.rank import get_label_quality_scores
from cleanlab.filter import find_label_issues
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold


def planted(share, seed):
    """Features, noisy labels, which are wrong, groups: a group's samples are flipped together."""
    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    order = np.lexsort((rng.random(len(y)), y))
    x, y = x[order] / 16.0, y[order]
    group = np.array([f"{label}-{i // 4:04d}" for label, i in zip(y, range(len(y)))])
    names = np.unique(group)
    flipped = set(rng.choice(names, round(share * len(names)), replace=False))
    noisy, wrong = y.copy(), np.array([g in flipped for g in group])
    for name in sorted(flipped):
        members = group == name
        noisy[members] = (y[members][0] + rng.integers(1, 10)) % 10
    return x, noisy, wrong, group


def main():
    program = sys.argv[1]
    print("| planted % | seed | k | ncaers | cleanlab, normalized margin | cleanlab, filter first |")
    print("|---|---|---|---|---|---|")
    for share in [0.02, 0.05, 0.10, 0.20]:
        for seed in [1, 2, 3]:
            line(program, share, seed)


def line(program, share, seed):
    x, noisy, wrong, group = planted(share, seed)
    p, folds = np.zeros((len(noisy), 10)), []
    for train, held in GroupKFold(5).split(x, noisy, group):
        model = LogisticRegression(max_iter=2000).fit(x[train], noisy[train])
        p[held] = model.predict_proba(x[held])
        folds.append(held)
    k = int(wrong.sum())
    ours = np.array(ranked(program, p, noisy, group, folds))
    scores = get_label_quality_scores(noisy, p, method="normalized_margin")
    plain = np.argsort(scores, kind="stable")
    issues = find_label_issues(noisy, p, return_indices_ranked_by="normalized_margin")
    first = np.r_[issues, [i for i in plain if i not in set(issues)]].astype(int)
    cells = [wrong[order[:k]].mean() for order in (ours, plain, first)]
    print(f"| {100 * share:.0f} | {seed} | {k} | " + " | ".join(f"{c:.3f}" for c in cells) + " |")


def ranked(program, p, noisy, group, folds):
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, held in enumerate(folds):
            path = Path(folder) / f"fold{number}.csv"
            with path.open("w", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(["id", "group", "target"] + [f"p{c}" for c in range(10)])
                for i in held:
                    writer.writerow([i, group[i], noisy[i]] + [repr(float(v)) for v in p[i]])
            files += ["--labels", str(path)]
        command = [program, "--json", "audit"] + files + ["--out", str(Path(folder) / "out")]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return [int(row["sample_id"]) for row in found["ranked"]]


if __name__ == "__main__":
    main()
