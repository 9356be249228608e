#!/usr/bin/env bash
# Photographs with faces that packages ship, under the names of tests/tools/faces.csv:
#   tests/tools/face_photographs.sh PHOTOS
#   cargo run --release --example face_recall -- PHOTOS tests/tools/faces.csv
# Needs npm, pip and a fetched rustface crate. The pictures stay where they are; only the marks are ours.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent @vladmandic/face-api@1.7.15 tracking@1.1.3 >/dev/null
pip download --quiet --no-deps scikit-image==0.26.0
pip download --quiet --no-deps --no-binary :all: face_recognition==1.3.0
for archive in ./*.tgz ./*.tar.gz; do
    mkdir "$archive.d" && tar xzf "$archive" -C "$archive.d"
done
for n in 1 2 3 4 5 6; do
    cp vladmandic-face-api-*.d/package/demo/sample$n.jpg "$out/faceapi-sample$n.jpg"
done
cp tracking-*.d/package/examples/assets/faces.jpg "$out/tracking-faces.jpg"
for name in biden obama obama2 obama3; do
    cp face_recognition-*.d/*/tests/test_images/$name.jpg "$out/fr-$name.jpg"
done
python3 -m zipfile -e scikit_image-*.whl skimage.d
cp skimage.d/skimage/data/astronaut.png "$out/skimage-astronaut.png"
cp "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/rustface-0.1.7/test.png "$out/rustface-test.png"
