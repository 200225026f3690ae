from collections.abc import Sequence
from typing import final

from sidegate.native.exchange import Exchange, Payload, Rhythm, Tally

@final
class Script:
    """Exchanges, made ready to be sent over and over: position n is exchange n modulo their number.

    Raises ValueError when there is none, when a `body` or `holds` is larger than
    what is kept of an answer, or when a stamp lies outside of the payload.
    """

    def __init__(self, exchanges: Sequence[Exchange], payload: Payload | None = None) -> None: ...
    def __len__(self) -> int: ...
    def drive(
        self,
        descriptors: Sequence[int],
        rhythm: Rhythm,
        *,
        first_position: int = 0,
        first_serial: int = 0,
        keep_answers: bool = False,
        bodies: Sequence[bytearray] | None = None,
    ) -> Tally:
        """Keep one request under way on each connected TCP socket, and count.

        The socket of a connection that the server closes is replaced under its
        descriptor.  Position p of the run sends serial `first_serial` + p.  With
        `keep_answers` the rhythm's `count` is how many are kept.  `bodies` are copies of
        the payload, which the run stamps and sends, one for each socket.  Large bodies of
        answers are discarded in the kernel (MSG_TRUNC).  Runs without the GIL,
        taking it ten times a second for signals; what a handler raises ends it.
        Raises OSError when the server cannot be reached again, ValueError when there is no
        socket, and for `bodies` that are not enough or of another size.
        """
