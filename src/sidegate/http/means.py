"""What the connections of a server share, as far as their receiving halves know of it."""

from __future__ import annotations

from typing import Protocol

from sidegate.http.blocks import BlockPool
from sidegate.http.budget import Budget
from sidegate.http.limits import Limits
from sidegate.http.parser import ParserFactory


class Means(Protocol):
    """What an intake is made with.

    `receive_view` is one buffer for all of them: what it holds is consumed
    within one call of `received`.
    """

    limits: Limits
    parsers: ParserFactory
    pool: BlockPool
    budget: Budget
    receive_view: memoryview
