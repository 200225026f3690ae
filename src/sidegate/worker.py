"""One worker process of `sidegate serve`: `python -P -m sidegate.worker N COUNT CHANNEL TALLY`.

Started by the supervisor, which hands over connections through the descriptor
CHANNEL and says on stdin what to serve and how.  It serves until that channel
ends, which it also does when the supervisor is killed, or until SIGTERM.
"""

from __future__ import annotations

import logging
import socket
import sys

from sidegate.app import serve_as_worker
from sidegate.errors import SidegateError


def main() -> int:
    """Serve; return the exit code."""
    number, count, channel_fd, tally_fd = map(int, sys.argv[1:])
    logging.basicConfig(format=f"worker {number}: %(message)s", level=logging.WARNING)
    order = sys.stdin.read()
    channel = socket.socket(fileno=channel_fd)
    channel.setblocking(False)
    try:
        serve_as_worker(number, count, channel, tally_fd, order)
    except SidegateError as error:
        logging.getLogger("sidegate").error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
