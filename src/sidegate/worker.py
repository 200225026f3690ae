"""One worker process of a gateway: `python -P -m sidegate.worker N COUNT CHANNEL TALLY REPORTS`.

Started by the supervisor, which hands over connections through the descriptor
CHANNEL and says on stdin what to serve and how.  It serves until that channel
ends, which it also does when the supervisor is killed, or until SIGTERM.
"""

from __future__ import annotations

import logging
import os
import socket
import sys

from sidegate.errors import SidegateError
from sidegate.fleet import Place, serve_as_worker


def main() -> int:
    """Serve; return the exit code."""
    number, count, channel_fd, tally_fd, report_fd = map(int, sys.argv[1:])
    logging.basicConfig(format=f"worker {number}: %(message)s", level=logging.WARNING)
    order = sys.stdin.read()
    channel = socket.socket(fileno=channel_fd)
    channel.setblocking(False)
    try:
        serve_as_worker(Place(number, count, channel, tally_fd, report_fd), order, os.environ)
    except SidegateError as error:
        logging.getLogger("sidegate").error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
