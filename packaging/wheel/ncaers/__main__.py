"""Finds PyTorch's libraries without importing PyTorch and becomes the program."""

import importlib.util
import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PROGRAM = PACKAGE / "bin" / "ncaers"


def main():
    torch = importlib.util.find_spec("torch")
    if torch is None or not torch.submodule_search_locations:
        sys.exit("error: PyTorch is not installed beside ncaers; pip install 'torch==2.11.*'")
    torch = Path(torch.submodule_search_locations[0]).resolve()
    # The program looks into the folder beside its own; another one, and a machine without /proc, need the variable.
    if torch.parent != PACKAGE.parent or not os.path.exists("/proc/self/exe"):
        folders = [torch / "lib", *sorted(torch.parent.glob("nvidia/*/lib"))]
        before = os.environ.get("LD_LIBRARY_PATH")
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([*map(str, folders), *([before] if before else [])])
    os.execv(PROGRAM, [str(PROGRAM), *sys.argv[1:]])


if __name__ == "__main__":
    main()
