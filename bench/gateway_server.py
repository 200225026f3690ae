"""The server under measurement: a job's sidecar over one commit and one attempt.

Run: python gateway_server.py STORE COMMIT CORE
The first line on stdout is JSON with its port.  `out` may be read back, so that
what was written can be verified.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from sidegate.app import tune_threads
from sidegate.gateway.serving import Options, running_gateway
from sidegate.gateway.session import JobSession
from sidegate.http import loops
from sidegate.pfs.ids import CommitId
from sidegate.pfs.store import Store

INPUT, OUTPUT_REPO = "labresults", "results"


async def serve(store: Store, commit: CommitId) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    output = store.stagings.begin_attempt(OUTPUT_REPO, "master")
    inputs = {INPUT: store.commits.get(commit)}
    session = JobSession(store, inputs, output, pipeline="measured", own_reads=True)
    async with running_gateway(store, session, Options(grace_seconds=2.0)) as server:
        print(json.dumps({"port": server.address[1]}), flush=True)
        await stop.wait()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    tune_threads()
    with Store.open(Path(sys.argv[1])) as opened:
        loops.run(serve(opened, CommitId(sys.argv[2])))
