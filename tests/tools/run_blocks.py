"""Runs the Python blocks of a Markdown page one after the other in one namespace, and says which failed.

usage: run_blocks.py PAGE [MODULE...]; blocks that import one of MODULEs are left out, and so are those behind them that need
what they would have defined.
"""
import re
import sys
import traceback


def blocks(text):
    """Line number of the first line and text of every block."""
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(1)) + 1, found.group(1)


def main():
    page, missing = sys.argv[1], sys.argv[2:]
    with open(page) as file:
        text = file.read()
    namespace, ran, left_out = {}, 0, 0
    for line, code in blocks(text):
        needs = [m for m in missing if re.search(rf"^(from|import) {m}\b", code, re.MULTILINE)]
        # The newlines put the block where it stands in the page, for the traceback.
        program = compile("\n" * (line - 1) + code, page, "exec")
        try:
            if needs:
                raise NameError(needs[0])
            exec(program, namespace)
            ran += 1
        except NameError as error:
            if not missing:
                traceback.print_exc()
                sys.exit(f"the block at line {line} of {page} failed")
            print(f"SKIPPED: the block at line {line} ({error})")
            left_out += 1
        except Exception:
            traceback.print_exc()
            sys.exit(f"the block at line {line} of {page} failed")
    print(f"{ran} blocks ran, {left_out} left out")


if __name__ == "__main__":
    main()
