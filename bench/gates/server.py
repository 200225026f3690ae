"""The measured process: a job's gateway, the open one, and operations inside.

    python bench/gates/server.py STORE COMMIT DURABLE_STORE [--steady]

prints one JSON line with its ports.  Then it obeys the lines on its stdin, each
answered by `done`: `mark` calls getsid(2), which nothing else here calls,
so that counters outside see where a cell begins and ends; `do N NAME` repeats
an operation.  It ends when stdin does.  With --steady nothing in it goes by the
clock or by how much was allocated before; without, it runs as a gateway does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

from blake3 import blake3

from corpus import INPUT, OUTPUT_REPO, incompressible, listed_key
from gates.cells import GATE_SCALE
from sidegate.app import tune_process
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.serving import Options, running_gateway
from sidegate.gateway.session import JobSession
from sidegate.http import loops
from sidegate.native import GearScanner
from sidegate.pfs.ids import CommitId
from sidegate.pfs.store import Store
from sidegate.pfs.tree import Tree

STEADY = "--steady"

STEADY_SWITCH_SECONDS = 100.0
"""No thread takes the GIL from another by the clock: under callgrind that is fifty times too early."""

CUT_RULE = (256 << 10, 1 << 20, 4 << 20)

Operations = Mapping[str, Callable[[], object]]


def operations_of(store: Store, commit: CommitId) -> Operations:
    """Return the operations that cells of kind "inside" are made of."""
    tree = Tree(store.cache, store.commits.get(commit).root)
    keys = cycle(listed_key(number * 7 % GATE_SCALE.listed_keys) for number in range(GATE_SCALE.listed_keys))
    data = incompressible(1 << 20)
    return {"chunk + hash 1 MiB": lambda: cut_and_hash(data), "index lookup": lambda: tree.get(next(keys))}


def cut_and_hash(data: bytes) -> list[bytes]:
    """Return the hashes of the chunks of `data`."""
    scanner, rest, found = GearScanner(*CUT_RULE), memoryview(data), []
    while (end := scanner.scan(rest)) >= 0:
        found.append(blake3(rest[:end]).digest())
        rest = rest[end:]
    return [*found, blake3(rest).digest()]


def mark() -> None:
    """Make a system call that is seen from outside."""
    os.getsid(0)


def obey(line: str, operations: Operations) -> None:
    """Do what a line of stdin says."""
    word, _, rest = line.partition(" ")
    if word == "mark":
        mark()
        return
    times, _, name = rest.partition(" ")
    operation = operations[name]
    for _ in range(int(times)):
        operation()


def end_at_once(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what went wrong and end: who measures waits for an answer, and figures would mean nothing."""
    loop.default_exception_handler(context)
    os._exit(1)


async def serve(store: Store, commit: CommitId, durable: Store, operations: Operations) -> None:
    """Serve until stdin ends: a job over `store`, all of `durable`."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    output = store.stagings.begin_attempt(OUTPUT_REPO, "job")
    inputs = {INPUT: store.commits.get(commit)}
    job = JobSession(store, inputs, output, pipeline="measured")

    def control() -> None:
        line = sys.stdin.readline()
        if not line:
            loop.remove_reader(sys.stdin.fileno())
            ended.set()
            return
        obey(line.strip(), operations)
        print("done", flush=True)

    loop.set_exception_handler(end_at_once)
    async with AsyncExitStack() as stack:
        options = Options(grace_seconds=2.0)
        sidecar = await stack.enter_async_context(running_gateway(store, job, options))
        branch = await stack.enter_async_context(running_gateway(durable, GeneralNamespace(durable), options))
        print(json.dumps({"sidecar": sidecar.address[1], "branch": branch.address[1]}), flush=True)
        loop.add_reader(sys.stdin.fileno(), control)
        await ended.wait()


def main(arguments: list[str], more_operations: Operations | None = None) -> None:
    """Serve a store as the arguments say."""
    directory, commit, durable_directory = Path(arguments[0]), CommitId(arguments[1]), Path(arguments[2])
    if STEADY in arguments:
        sys.setswitchinterval(STEADY_SWITCH_SECONDS)
        # A collection would fall into one cell in one run and into another in the next.
        gc.disable()
    else:
        tune_process()
    with Store.open(directory) as store, Store.open(durable_directory, durability="disk") as durable:
        operations = {**operations_of(store, commit), **(more_operations or {})}
        loops.run(serve(store, commit, durable, operations))


if __name__ == "__main__":
    main(sys.argv[1:])
