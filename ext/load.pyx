# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""The load loop, compiled; `sidegate/native/pure/load.py` defines what it does.

One thread keeps many connections busy.  It has to be well ahead of any server
on one core: a bare uvloop server answers 168 000 HEAD a second.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, strerror

from load_answers cimport KEPT, NO_SIZE, Answer, begin_chunks, parse_framing, take_chunks, take_head
from load_counts cimport (
    BUCKETS,
    EXAMPLE,
    EXAMPLES,
    Counts,
    count_right,
    count_wrong,
    fill_tally,
    free_answers,
    keep_answer,
    make_room,
)
from load_requests cimport Request, is_answered_by, send_rest
from load_sockets cimport (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    MSG_TRUNC,
    close,
    connect_like,
    dup2,
    epoll_create1,
    epoll_event,
    epoll_wait,
    getpeername,
    now_ns,
    recv,
    sockaddr,
    sockaddr_storage,
    socklen_t,
    unwatch,
    watch,
    watch_output,
)

from sidegate.native import exchange as terms
from sidegate.native.exchange import Tally

cdef enum:
    FAILURES = 100
    EVENTS = 128
    DISCARDED = 1 << 22  # more than a socket ever holds: one call takes all
    SLICE_NS = 100000000
    SLEEP_MS = 20
    CHECKED_POLLS = 64  # empty polls between looks at the clock for the end

if (KEPT, EXAMPLE, EXAMPLES, FAILURES, BUCKETS) != (
    terms.KEPT_BYTES, terms.EXAMPLE_BYTES, terms.MAX_EXAMPLES, terms.MAX_FAILURES, terms.BUCKETS
):
    raise ImportError("the compiled load loop has other limits than sidegate.native.exchange")


cdef enum Phase:
    RESTING  # nothing under way
    HEAD  # the head of the answer has not all come
    BODY  # `left` bytes of it are to come
    CHUNKS  # a chunked body, up to its end
    UNTIL_CLOSE


cdef struct Connection:
    int fd
    Phase phase
    bint sending
    bint broken  # to be replaced after this answer
    bint watching_output
    int64_t position
    int64_t began_ns
    size_t sent
    char* payload
    Answer answer


@cython.final
cdef class Script:
    cdef Request* requests
    cdef size_t count
    cdef list owned  # what the pointers point into
    cdef bytes template
    cdef size_t payload_bytes
    cdef uint64_t* stamps
    cdef size_t stamp_count

    def __cinit__(self, exchanges, payload=None):
        exchanges = list(exchanges)
        self.count = len(exchanges)
        if self.count == 0:
            raise ValueError("a script needs an exchange")
        self.owned = []
        self.requests = <Request*>calloc(self.count, sizeof(Request))
        self.template = payload.template if payload is not None else b""
        self.payload_bytes = len(self.template)
        stamps = payload.stamps if payload is not None else ()
        self.stamp_count = len(stamps)
        self.stamps = <uint64_t*>calloc(self.stamp_count + 1, sizeof(uint64_t))
        if self.requests is NULL or self.stamps is NULL:
            raise MemoryError
        for number, offset in enumerate(stamps):
            if not 0 <= offset <= len(self.template) - 8:
                raise ValueError(f"there is no room for a stamp at {offset}")
            self.stamps[<size_t>number] = offset
        for number, exchange in enumerate(exchanges):
            self._take(&self.requests[<size_t>number], exchange)

    def __dealloc__(self):
        free(self.requests)
        free(self.stamps)

    def __len__(self):
        return self.count

    cdef int _take(self, Request* request, exchange) except -1:
        cdef bytes head = exchange.head, tail = exchange.tail, holds = exchange.holds
        cdef bytes body = exchange.body if exchange.body is not None else b""
        if len(body) > KEPT // 2 or len(holds) > KEPT // 2:
            raise ValueError(f"only {KEPT // 2} bytes of an answer can be compared")
        self.owned.append((head, tail, holds, body))
        request.head, request.head_bytes = PyBytes_AS_STRING(head), len(head)
        request.tail, request.tail_bytes = PyBytes_AS_STRING(tail), len(tail)
        request.holds, request.holds_bytes = PyBytes_AS_STRING(holds), len(holds)
        request.body, request.compared_bytes = PyBytes_AS_STRING(body), len(body)
        request.status = exchange.status
        request.body_bytes = exchange.body_bytes if exchange.body_bytes is not None else -1
        request.is_head = head.startswith(b"HEAD ")
        return 0

    def drive(
        self, descriptors, rhythm, *, first_position=0, first_serial=0, keep_answers=False, bodies=None
    ):
        cdef list sockets = list(descriptors)
        cdef list copies = terms.bodies_for(len(sockets), self.template, bodies)
        cdef Run run = Run(self, sockets, copies, rhythm, first_position, first_serial, keep_answers)
        return run.finish()


@cython.final
cdef class Run:
    """One use of a script; ends when its rhythm says so."""

    cdef Script script
    cdef list bodies  # views of what `payload` of each connection points to: they keep its size
    cdef Connection* connections
    cdef int connection_count
    cdef int poller
    cdef bint poll
    cdef int64_t first_position
    cdef uint64_t first_serial
    cdef int64_t limit
    cdef Counts counts
    cdef int under_way
    cdef int64_t began_ns
    cdef int64_t closes_ns  # no request begins after this
    cdef int64_t drain_ns
    cdef int64_t last_ns  # when something last happened
    cdef int64_t last_answer_ns
    cdef int64_t idle_ns
    cdef int fault  # errno of a connection that could not be made again
    cdef char* scratch
    cdef sockaddr_storage address
    cdef socklen_t address_bytes

    def __cinit__(
        self,
        Script script,
        list descriptors,
        list bodies,
        rhythm,
        first_position,
        first_serial,
        keep_answers,
    ):
        self.poller = -1
        self.script = script
        self.bodies = [memoryview(body) for body in bodies]
        self.poll = rhythm.poll
        self.limit = rhythm.count
        self.first_position = first_position
        self.first_serial = first_serial
        self.drain_ns = <int64_t>(rhythm.drain_seconds * 1e9)
        self.closes_ns = <int64_t>(rhythm.seconds * 1e9)
        self.connection_count = len(descriptors)
        self.scratch = <char*>malloc(DISCARDED)
        self.connections = <Connection*>calloc(self.connection_count + 1, sizeof(Connection))
        if keep_answers:
            make_room(&self.counts, self.limit)
        if self.scratch is NULL or self.connections is NULL:
            raise MemoryError
        self.poller = epoll_create1(0)
        if self.poller < 0:
            raise OSError(errno, strerror(errno).decode())
        self._open(descriptors, bodies)

    cdef int _open(self, list descriptors, list bodies) except -1:
        cdef Connection* connection
        self.address_bytes = sizeof(self.address)
        if getpeername(descriptors[0], <sockaddr*>&self.address, &self.address_bytes) < 0:
            raise OSError(errno, strerror(errno).decode())
        for number, descriptor in enumerate(descriptors):
            connection = &self.connections[<int>number]
            connection.fd = descriptor
            connection.answer.buffer = <char*>malloc(KEPT)
            connection.payload = PyByteArray_AS_STRING(bodies[number])
            if connection.answer.buffer is NULL:
                raise MemoryError
            self._watch(number)
        return 0

    def __dealloc__(self):
        cdef int number
        if self.connections is not NULL:
            for number in range(self.connection_count):
                free(self.connections[number].answer.buffer)
        free(self.connections)
        free(self.scratch)
        free_answers(&self.counts)
        if self.poller >= 0:
            close(self.poller)

    cdef finish(self):
        """Run to the end and return the tally."""
        cdef bint going = True
        with nogil:
            self._begin()
        while going:
            with nogil:
                going = self._slice()
            PyErr_CheckSignals()
        if self.fault:
            raise OSError(self.fault, strerror(self.fault).decode())
        return self._tally()

    cdef _tally(self):
        cdef int64_t end_ns = self.last_answer_ns if self.last_answer_ns and not self.under_way else now_ns()
        tally = Tally()
        fill_tally(tally, &self.counts, self.limit)
        tally.seconds = (end_ns - self.began_ns) / 1e9
        tally.unanswered = self.under_way
        tally.idle_seconds = self.idle_ns / 1e9
        return tally

    cdef void _watch(self, int number) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        watch(self.poller, connection.fd, number)
        connection.watching_output = False

    cdef void _watch_output(self, int number, bint wanted) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        if connection.watching_output != wanted:
            connection.watching_output = wanted
            watch_output(self.poller, connection.fd, number, wanted)

    cdef void _begin(self) noexcept nogil:
        cdef int number
        self.began_ns = self.last_ns = now_ns()
        self.closes_ns += self.began_ns
        for number in range(self.connection_count):
            self._next(number, now_ns())

    cdef bint _slice(self) noexcept nogil:
        """Run for a tenth of a second; whether there is more to do."""
        cdef epoll_event[EVENTS] events
        cdef int64_t before = now_ns(), now = before
        cdef int64_t ends_ns = before + SLICE_NS
        cdef int found, number, empty = 0
        while self.under_way:
            found = epoll_wait(self.poller, events, EVENTS, 0 if self.poll else SLEEP_MS)
            if found <= 0:
                empty += 1
                if self.poll and empty % CHECKED_POLLS:
                    continue
                now = now_ns()
                self.idle_ns += now - before
                before = now
                if self._is_over(now):
                    return False
                if now > ends_ns:
                    return True
                continue
            now = now_ns()
            if empty or not self.poll:
                self.idle_ns += now - before
            empty = 0
            for number in range(found):
                self._attend(<int>events[number].data.u32, events[number].events, now)
            self.last_ns = before = now_ns()
            if self.fault or self.counts.failed >= FAILURES or self._is_over(before):
                return False
            if before > ends_ns:
                return True
        return False

    cdef bint _is_over(self, int64_t now) noexcept nogil:
        if now > self.last_ns + self.drain_ns:
            return True
        return now > self.closes_ns + self.drain_ns

    cdef void _next(self, int number, int64_t now) noexcept nogil:
        """Begin the next request, if there is to be one."""
        cdef Connection* connection = &self.connections[number]
        cdef size_t index
        cdef uint64_t serial
        connection.phase = RESTING
        if self.counts.begun >= self.limit or now >= self.closes_ns or self.counts.failed >= FAILURES:
            return
        connection.position = self.counts.begun
        self.counts.begun += 1
        self.under_way += 1
        serial = self.first_serial + <uint64_t>connection.position
        for index in range(self.script.stamp_count):
            memcpy(connection.payload + self.script.stamps[index], &serial, 8)
        connection.phase = HEAD
        connection.began_ns = now
        connection.sending = True
        connection.sent = 0
        connection.answer.kept = 0
        connection.broken = False
        self._send(number)

    cdef inline Request* _request(self, Connection* connection) noexcept nogil:
        return &self.script.requests[
            <size_t>(self.first_position + connection.position) % self.script.count
        ]

    cdef void _send(self, int number) noexcept nogil:
        """Send what fits of head, payload and tail."""
        cdef Connection* connection = &self.connections[number]
        cdef Request* request = self._request(connection)
        cdef size_t payload_bytes = self.script.payload_bytes
        cdef size_t total = request.head_bytes + payload_bytes + request.tail_bytes
        cdef ssize_t count
        while connection.sent < total:
            count = send_rest(connection.fd, request, connection.payload, payload_bytes, connection.sent)
            if count >= 0:
                connection.sent += <size_t>count
            elif errno == EAGAIN:
                self._watch_output(number, True)
                return
            elif errno != EINTR:
                connection.broken = True  # the answer, or the end, is there to be read
                break
        connection.sending = False
        self._watch_output(number, False)

    cdef void _attend(self, int number, uint32_t events, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        if connection.sending and events & EPOLLOUT:
            self._send(number)
        if not events & (EPOLLIN | EPOLLHUP | EPOLLERR):
            return
        if connection.phase == RESTING:
            unwatch(self.poller, connection.fd)  # closed, and not needed any more
        elif connection.phase == HEAD:
            self._read_head(number, now)
        else:
            self._read_body(number, now)

    cdef void _read_head(self, int number, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        cdef Answer* answer = &connection.answer
        cdef int taken
        cdef ssize_t count = recv(connection.fd, answer.buffer + answer.kept, KEPT - answer.kept, 0)
        if count < 0 and (errno == EAGAIN or errno == EINTR):
            return
        if count <= 0:
            self._lose(number, now)
            return
        self.counts.received_bytes += count
        answer.kept += <size_t>count
        taken = take_head(answer)
        if taken > 0:
            self._begin_body(number, now)
        elif taken < 0:
            self._lose(number, now)

    cdef void _begin_body(self, int number, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        cdef Answer* answer = &connection.answer
        cdef int64_t there = <int64_t>(answer.kept - answer.head_end)
        cdef bint chunked = False
        cdef int64_t length = parse_framing(answer, &chunked, &connection.broken)
        answer.body_bytes = 0
        if length == NO_SIZE:
            self._lose(number, now)
        elif self._request(connection).is_head or answer.status == 204 or answer.status == 304:
            self._end(number, now)
        elif chunked:
            connection.phase = CHUNKS
            begin_chunks(answer)
            if take_chunks(answer, answer.buffer + answer.head_end, there):
                self._end(number, now)
        elif length < 0:
            connection.phase = UNTIL_CLOSE
            connection.broken = True
            answer.body_bytes, answer.left = there, 0  # all of it is kept, as far as there is room
        else:
            connection.phase = BODY
            answer.body_bytes = length
            answer.left = length - there
            if answer.left <= 0:
                self._end(number, now)
            elif answer.left > KEPT:
                self._read_body(number, now)

    cdef void _read_body(self, int number, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        cdef Answer* answer = &connection.answer
        cdef size_t room = KEPT - answer.kept
        cdef bint keeps = room > 0 and connection.phase != CHUNKS and <int64_t>room >= answer.left
        cdef char* target = self.scratch
        cdef int flags = 0
        cdef size_t wanted = DISCARDED
        cdef ssize_t count
        if keeps:
            target = answer.buffer + answer.kept
            wanted = <size_t>answer.left if connection.phase == BODY else room
        elif connection.phase == BODY:
            flags, wanted = MSG_TRUNC, <size_t>min(answer.left, <int64_t>DISCARDED)
        count = recv(connection.fd, target, wanted, flags)
        if count < 0 and (errno == EAGAIN or errno == EINTR):
            return
        if count <= 0:
            if connection.phase == UNTIL_CLOSE and count == 0:
                self._end(number, now)
            else:
                self._lose(number, now)
            return
        self.counts.received_bytes += count
        if connection.phase == CHUNKS:
            if take_chunks(answer, target, count):
                self._end(number, now_ns())
            return
        if keeps:
            answer.kept += <size_t>count
        answer.left -= count
        if connection.phase == UNTIL_CLOSE:
            answer.body_bytes += count
        elif answer.left == 0:
            self._end(number, now_ns())

    cdef void _end(self, int number, int64_t now) noexcept nogil:
        """Judge an answer that is all there, and go on."""
        cdef Connection* connection = &self.connections[number]
        if not connection.sending and is_answered_by(self._request(connection), &connection.answer):
            count_right(&self.counts, now - connection.began_ns)
        else:
            count_wrong(&self.counts, &connection.answer, connection.position)
        keep_answer(&self.counts, &connection.answer, connection.position)
        self.under_way -= 1
        self.last_answer_ns = now
        if connection.broken or connection.sending:
            self._reconnect(number)
        self._next(number, now)

    cdef void _lose(self, int number, int64_t now) noexcept nogil:
        """Count an answer that does not come; go on with a new connection."""
        cdef Connection* connection = &self.connections[number]
        count_wrong(&self.counts, &connection.answer, connection.position)
        self.under_way -= 1
        self.last_answer_ns = now
        self._reconnect(number)
        self._next(number, now)

    cdef void _reconnect(self, int number) noexcept nogil:
        """Put a new connection to the same server under the descriptor."""
        cdef Connection* connection = &self.connections[number]
        cdef int fd = connect_like(connection.fd, <sockaddr*>&self.address, self.address_bytes)
        self.counts.reconnections += 1
        if fd < 0:
            self.fault = errno
            return
        dup2(fd, connection.fd)
        close(fd)
        connection.sending = False
        self._watch(number)
