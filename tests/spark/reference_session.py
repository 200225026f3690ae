"""Runs job scripts one after the other in one Java, which is started once and stays warm.

Reads a JSON list per line, script and arguments; after what the script printed comes ENDED and
its traceback, which is empty when it ended well.
"""

import json
import runpy
import sys
import traceback

ENDED = "ENDED "


def run(argv):
    """Run a script as the main program; return its traceback."""
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except BaseException:  # noqa: BLE001 - whatever ends a script, sys.exit too, is told to who asked
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    for line in sys.stdin:
        print(ENDED + json.dumps(run(json.loads(line))), flush=True)
