"""Checks the croissant.json of manifest folders with MLCommons' own validator, and reads every record.

    pip install mlcroissant==1.1.1 pyarrow
    python tests/tools/validate_croissant.py MANIFEST_FOLDER...
"""
import os
import sys

import mlcroissant

for folder in sys.argv[1:]:
    os.chdir(folder)
    dataset = mlcroissant.Dataset("croissant.json")
    issues = dataset.metadata.ctx.issues
    print(f"{folder}: {len(issues.errors)} errors, {len(issues.warnings)} warnings")
    for issue in sorted(issues.errors) + sorted(issues.warnings):
        print(f"  {issue}")
    print(f"  {sum(1 for _ in dataset.records('samples'))} records read")
