#!/usr/bin/env python3
"""Puts the program, its launcher and every licence text into a wheel; the same input gives the same bytes.

Only the standard library: a wheel is a zip file with a list of its members (RECORD).
"""
import argparse
import base64
import hashlib
import json
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TORCH = "torch==2.11.*"
LICENCE_NAMES = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)")
# The zip format has no earlier year than 1980; no clock, so that bytes repeat.
DATE = (1980, 1, 1, 0, 0, 0)


def main():
    args = arguments()
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    version = package["version"]
    info = f"ncaers-{version}.dist-info"
    texts = licences(args.ffmpeg)
    files = {
        "ncaers/__init__.py": (HERE / "ncaers/__init__.py").read_bytes(),
        "ncaers/__main__.py": (HERE / "ncaers/__main__.py").read_bytes(),
        "ncaers/bin/ncaers": args.program.read_bytes(),
        f"{info}/METADATA": metadata(package, texts),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: ncaers\nRoot-Is-Purelib: false\nTag: {args.tag}\n",
        f"{info}/entry_points.txt": "[console_scripts]\nncaers = ncaers.__main__:main\n",
    }
    for name, text in texts.items():
        files[f"{info}/licenses/{name}"] = text
    path = args.out / f"ncaers-{version}-{args.tag}.whl"
    write(path, files, f"{info}/RECORD")
    print(path)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the stripped program")
    parser.add_argument("--ffmpeg", type=Path, required=True, help="the prefix that ffmpeg.sh made")
    parser.add_argument("--tag", required=True, help="such as py3-none-manylinux_2_34_x86_64")
    parser.add_argument("--out", type=Path, required=True, help="folder of the wheel")
    return parser.parse_args()


def metadata(package, licence_files):
    # The program's code is MIT or Apache-2.0; what is linked into it has terms of its own beside it.
    terms = f"({package['license']}) AND LGPL-2.1-or-later AND LGPL-2.0-or-later AND BSD-2-Clause"
    head = [
        "Metadata-Version: 2.4",
        "Name: ncaers",
        f"Version: {package['version']}",
        f"Summary: {package['description']}",
        f"License-Expression: {terms}",
        *(f"License-File: {name}" for name in licence_files),
        f"Keywords: {','.join(package['keywords'])}",
        "Classifier: Environment :: Console",
        "Classifier: Intended Audience :: Science/Research",
        "Classifier: Operating System :: POSIX :: Linux",
        "Classifier: Programming Language :: Rust",
        "Requires-Python: >=3.10",
        f"Requires-Dist: {TORCH}",
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(head) + "\n\n" + (HERE / "README.md").read_text()


def licences(ffmpeg):
    """Every licence text by file name: ours, the C libraries' with their recipe, the crates'."""
    texts = {f"ncaers/{name}": (ROOT / name).read_bytes() for name in ("LICENSE-MIT", "LICENSE-APACHE")}
    for path in sorted((ffmpeg / "licences").iterdir()):
        texts[f"ffmpeg/{path.name}"] = path.read_bytes()
    texts["ffmpeg/hypot.c"] = (HERE / "hypot.c").read_bytes()
    texts["fonts/DejaVu.txt"] = (ROOT / "src/report/fonts/LICENSE").read_bytes()
    texts["crates.txt"] = crates()
    return texts


def crates():
    """A line per crate that is linked in, and every licence file of theirs once."""
    words = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    # Off line first; cargo may have left out packages that only other systems need.
    found = subprocess.run([*words, "--offline"], cwd=ROOT, capture_output=True)
    if found.returncode:
        found = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    found = json.loads(found.stdout)
    packages = {package["id"]: package for package in found["packages"]}
    lines, texts = [], {}
    for identity in sorted(linked(found), key=lambda i: (packages[i]["name"], packages[i]["version"])):
        package = packages[identity]
        if package["source"] is None:
            continue
        name = f"{package['name']} {package['version']}"
        lines.append(f"{name}: {package['license'] or 'see its licence file'}; {package['repository'] or ''}".rstrip("; "))
        for path in licence_files(Path(package["manifest_path"]).parent):
            texts.setdefault(path.read_text(errors="replace").strip(), []).append(f"{name} ({path.name})")
    parts = ["Rust crates that are linked into the program, and their licence texts.\n\n" + "\n".join(lines) + "\n"]
    for text, owners in sorted(texts.items(), key=lambda item: item[1]):
        parts.append("\n" + "=" * 80 + "\n" + ", ".join(owners) + "\n\n" + text + "\n")
    return "".join(parts)


def licence_files(folder):
    """Licence files of a crate, also of C sources and models inside it."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and LICENCE_NAMES.match(path.name) and path.suffix != ".rs")


def linked(found):
    """Packages that normal dependencies reach from ours; build and test tools are not in the program."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    seen, todo = set(), [found["resolve"]["root"]]
    while todo:
        identity = todo.pop()
        if identity in seen:
            continue
        seen.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return seen


def write(path, files, record):
    lines = []
    for name, content in files.items():
        content = files[name] = content.encode() if isinstance(content, str) else content
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    files[record] = ("".join(lines) + f"{record},,\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, DATE)
            mode = 0o755 if name == "ncaers/bin/ncaers" else 0o644
            member.external_attr = (0o100000 | mode) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)


if __name__ == "__main__":
    main()
