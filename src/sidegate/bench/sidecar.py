"""The server under measurement: a job's gateway over commits and one attempt.

    python -m sidegate.bench.sidecar STORE '{"input": "COMMIT"}'

The first line on stdout is JSON with its port.  `out` may be read back, so that
what was written can be verified; else it is what `sidegate run` starts.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from sidegate.app import SIDECAR_GRACE_SECONDS, tune_process
from sidegate.gateway.serving import Options, running_gateway
from sidegate.gateway.session import JobSession
from sidegate.http import loops
from sidegate.pfs.ids import CommitId
from sidegate.pfs.store import Store

OUTPUT_REPO = "results"


async def serve(store: Store, inputs: dict[str, str]) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    output = store.stagings.begin_attempt(OUTPUT_REPO, "master")
    commits = {name: store.commits.get(CommitId(commit)) for name, commit in inputs.items()}
    session = JobSession(store, commits, output, pipeline="measured", own_reads=True)
    async with running_gateway(store, session, Options(grace_seconds=SIDECAR_GRACE_SECONDS)) as server:
        sys.stdout.write(json.dumps({"port": server.address[1]}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: list[str]) -> None:
    """Run in this process."""
    store, inputs = arguments
    tune_process()
    with Store.open(Path(store)) as opened:
        loops.run(serve(opened, json.loads(inputs)))


if __name__ == "__main__":
    main(sys.argv[1:])
