# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""The load loop, compiled; `sidegate/native/pure/load.py` defines what it does.

One thread keeps many connections busy.  It has to be well ahead of any server
on one core: a bare uvloop server answers 168 000 HEAD a second.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset, strerror
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from sidegate.native import exchange as terms
from sidegate.native.exchange import Tally

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t length, const void* needle, size_t needle_length)

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* one, const char* other, size_t length)

cdef extern from "unistd.h" nogil:
    int close(int fd)
    int dup2(int old, int new)

cdef extern from "fcntl.h" nogil:
    enum: F_SETFL
    enum: O_NONBLOCK
    int fcntl(int fd, int command, int argument)

cdef extern from "netinet/in.h" nogil:
    enum: IPPROTO_TCP

cdef extern from "netinet/tcp.h" nogil:
    enum: TCP_NODELAY
    enum: TCP_CONGESTION

cdef extern from "sys/socket.h" nogil:
    enum: MSG_TRUNC
    enum: MSG_NOSIGNAL
    enum: SOCK_STREAM
    ctypedef unsigned int socklen_t
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t recv(int fd, void* buffer, size_t length, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int socket(int family, int kind, int protocol)
    int connect(int fd, const sockaddr* address, socklen_t length)
    int setsockopt(int fd, int level, int name, const void* value, socklen_t length)
    int getsockopt(int fd, int level, int name, void* value, socklen_t* length)
    int getpeername(int fd, sockaddr* address, socklen_t* length)

cdef extern from "sys/epoll.h" nogil:
    enum: EPOLLIN
    enum: EPOLLOUT
    enum: EPOLLHUP
    enum: EPOLLERR
    enum: EPOLL_CTL_ADD
    enum: EPOLL_CTL_MOD
    enum: EPOLL_CTL_DEL
    ctypedef union epoll_data_t:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int poller, int operation, int fd, epoll_event* event)
    int epoll_wait(int poller, epoll_event* events, int count, int timeout_ms)

cdef enum:
    KEPT = 16384
    EXAMPLE = 1024
    EXAMPLES = 3
    FAILURES = 100
    BUCKETS = 1184
    EVENTS = 128
    DISCARDED = 1 << 22  # more than a socket ever holds: one call takes all
    SLICE_NS = 100000000
    SLEEP_MS = 20
    CHECKED_POLLS = 64  # empty polls between looks at the clock for the end

cdef int64_t MAX_SIZE = <int64_t>1 << 50  # larger sizes of bodies are not believed

if (KEPT, EXAMPLE, EXAMPLES, FAILURES, BUCKETS) != (
    terms.KEPT_BYTES, terms.EXAMPLE_BYTES, terms.MAX_EXAMPLES, terms.MAX_FAILURES, terms.BUCKETS
):
    raise ImportError("the compiled load loop has other limits than sidegate.native.exchange")


cdef struct Request:
    const char* head
    size_t head_bytes
    const char* tail
    size_t tail_bytes
    int status
    int64_t body_bytes  # -1: any
    const char* body
    size_t compared_bytes
    const char* holds
    size_t holds_bytes
    bint is_head


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
    int status
    int64_t left
    int64_t body_bytes
    size_t kept  # bytes in `buffer`
    size_t head_end
    # of a chunked body: digits of a size line so far, and where in the framing
    int64_t chunk_left
    int chunk_state
    bint line_is_empty
    char* payload
    char* buffer


cdef inline int64_t now_ns() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return <int64_t>time.tv_sec * 1000000000 + time.tv_nsec


cdef inline int bucket_of(uint64_t nanoseconds) noexcept nogil:
    cdef int shift = 0
    cdef uint64_t rest = nanoseconds >> 6
    while rest:
        rest >>= 1
        shift += 1
    cdef int bucket = shift * 32 + <int>(nanoseconds >> shift)
    return bucket if bucket < BUCKETS else BUCKETS - 1


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
    cdef int64_t begun
    cdef int under_way
    cdef int64_t answered
    cdef int64_t failed
    cdef int64_t reconnections
    cdef int64_t received_bytes
    cdef int64_t began_ns
    cdef int64_t closes_ns  # no request begins after this
    cdef int64_t drain_ns
    cdef int64_t last_ns  # when something last happened
    cdef int64_t last_answer_ns
    cdef int64_t idle_ns
    cdef int fault  # errno of a connection that could not be made again
    cdef uint64_t[BUCKETS] latencies
    cdef char[EXAMPLES * EXAMPLE] example
    cdef int64_t[EXAMPLES] example_position
    cdef size_t[EXAMPLES] example_bytes
    cdef int example_count
    cdef char* answers
    cdef uint32_t* answer_bytes
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
            self.answers = <char*>malloc(self.limit * KEPT + 1)
            self.answer_bytes = <uint32_t*>calloc(self.limit + 1, sizeof(uint32_t))
            if self.answers is NULL or self.answer_bytes is NULL:
                raise MemoryError
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
            connection.buffer = <char*>malloc(KEPT)
            connection.payload = PyByteArray_AS_STRING(bodies[number])
            if connection.buffer is NULL:
                raise MemoryError
            self._watch(number)
        return 0

    def __dealloc__(self):
        cdef int number
        if self.connections is not NULL:
            for number in range(self.connection_count):
                free(self.connections[number].buffer)
        free(self.connections)
        free(self.scratch)
        free(self.answers)
        free(self.answer_bytes)
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
        cdef int64_t number
        cdef int64_t end_ns = self.last_answer_ns if self.last_answer_ns and not self.under_way else now_ns()
        tally = Tally()
        tally.seconds = (end_ns - self.began_ns) / 1e9
        tally.begun, tally.answered, tally.failed = self.begun, self.answered, self.failed
        tally.unanswered = self.under_way
        tally.idle_seconds = self.idle_ns / 1e9
        tally.received_bytes, tally.reconnections = self.received_bytes, self.reconnections
        tally.latencies = [self.latencies[bucket] for bucket in range(BUCKETS)]
        for number in range(self.example_count):
            example = PyBytes_FromStringAndSize(&self.example[number * EXAMPLE], self.example_bytes[number])
            tally.examples.append((self.example_position[number], example))
        if self.answers is not NULL:
            tally.answers = [
                PyBytes_FromStringAndSize(self.answers + number * KEPT, self.answer_bytes[number])
                for number in range(self.limit)
            ]
        return tally

    cdef int _watch(self, int number) noexcept nogil:
        cdef epoll_event event
        cdef int yes = 1
        cdef Connection* connection = &self.connections[number]
        fcntl(connection.fd, F_SETFL, O_NONBLOCK)
        setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes))
        event.events = EPOLLIN
        event.data.u32 = number
        connection.watching_output = False
        return epoll_ctl(self.poller, EPOLL_CTL_ADD, connection.fd, &event)

    cdef void _watch_output(self, int number, bint wanted) noexcept nogil:
        cdef epoll_event event
        cdef Connection* connection = &self.connections[number]
        if connection.watching_output == wanted:
            return
        event.events = EPOLLIN | EPOLLOUT if wanted else EPOLLIN
        event.data.u32 = number
        connection.watching_output = wanted
        epoll_ctl(self.poller, EPOLL_CTL_MOD, connection.fd, &event)

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
            if self.fault or self.failed >= FAILURES or self._is_over(before):
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
        if self.begun >= self.limit or now >= self.closes_ns or self.failed >= FAILURES:
            return
        connection.position = self.begun
        self.begun += 1
        self.under_way += 1
        serial = self.first_serial + <uint64_t>connection.position
        for index in range(self.script.stamp_count):
            memcpy(connection.payload + self.script.stamps[index], &serial, 8)
        connection.phase = HEAD
        connection.began_ns = now
        connection.sending = True
        connection.sent = 0
        connection.kept = 0
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
        cdef iovec[3] parts
        cdef msghdr message
        cdef size_t sent = connection.sent, index = 0, total
        cdef ssize_t count
        total = request.head_bytes + self.script.payload_bytes + request.tail_bytes
        while sent < total:
            index = 0
            if sent < request.head_bytes:
                parts[index].iov_base = <void*>(request.head + sent)
                parts[index].iov_len = request.head_bytes - sent
                index += 1
            count = <ssize_t>sent - <ssize_t>request.head_bytes
            if count < <ssize_t>self.script.payload_bytes and self.script.payload_bytes:
                parts[index].iov_base = connection.payload + (count if count > 0 else 0)
                parts[index].iov_len = self.script.payload_bytes - <size_t>(count if count > 0 else 0)
                index += 1
            count -= <ssize_t>self.script.payload_bytes
            if request.tail_bytes:
                parts[index].iov_base = <void*>(request.tail + (count if count > 0 else 0))
                parts[index].iov_len = request.tail_bytes - <size_t>(count if count > 0 else 0)
                index += 1
            memset(&message, 0, sizeof(message))
            message.msg_iov, message.msg_iovlen = parts, index
            count = sendmsg(connection.fd, &message, MSG_NOSIGNAL)
            if count < 0:
                if errno == EINTR:
                    continue
                connection.sent = sent
                if errno == EAGAIN:
                    self._watch_output(number, True)
                else:
                    connection.sending = False  # the answer, or the end, is there to be read
                    connection.broken = True
                    self._watch_output(number, False)
                return
            sent += <size_t>count
        connection.sent = sent
        connection.sending = False
        self._watch_output(number, False)

    cdef void _attend(self, int number, uint32_t events, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        if connection.sending and events & EPOLLOUT:
            self._send(number)
        if not events & (EPOLLIN | EPOLLHUP | EPOLLERR):
            return
        if connection.phase == RESTING:
            epoll_ctl(self.poller, EPOLL_CTL_DEL, connection.fd, NULL)  # closed, and not needed any more
        elif connection.phase == HEAD:
            self._read_head(number, now)
        else:
            self._read_body(number, now)

    cdef void _read_head(self, int number, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        cdef char* end
        cdef ssize_t count = recv(connection.fd, connection.buffer + connection.kept, KEPT - connection.kept, 0)
        if count < 0 and (errno == EAGAIN or errno == EINTR):
            return
        if count <= 0:
            self._lose(number, now)
            return
        self.received_bytes += count
        connection.kept += <size_t>count
        end = <char*>memmem(connection.buffer, connection.kept, b"\r\n\r\n", 4)
        if end is NULL:
            if connection.kept == KEPT:
                self._lose(number, now)
            return
        connection.head_end = <size_t>(end - connection.buffer) + 4
        connection.status = status_of(connection.buffer, connection.kept)
        if 100 <= connection.status < 200:
            connection.kept -= connection.head_end
            memmove(connection.buffer, connection.buffer + connection.head_end, connection.kept)
            if memmem(connection.buffer, connection.kept, b"\r\n\r\n", 4) is NULL:
                return
            end = <char*>memmem(connection.buffer, connection.kept, b"\r\n\r\n", 4)
            connection.head_end = <size_t>(end - connection.buffer) + 4
            connection.status = status_of(connection.buffer, connection.kept)
        if connection.status == 0:
            self._lose(number, now)
        else:
            self._begin_body(number, now)

    cdef void _begin_body(self, int number, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        cdef int64_t there = <int64_t>(connection.kept - connection.head_end)
        cdef bint chunked = False
        cdef int64_t length = parse_framing(
            connection.buffer, connection.head_end, &chunked, &connection.broken
        )
        connection.body_bytes = 0
        if self._request(connection).is_head or connection.status == 204 or connection.status == 304:
            self._end(number, now)
        elif chunked:
            connection.phase = CHUNKS
            connection.chunk_state = 0
            connection.chunk_left = 0
            connection.line_is_empty = True
            connection.kept = connection.head_end  # chunks are kept without their framing
            if self._take_chunks(connection, connection.buffer + connection.head_end, there):
                self._end(number, now)
        elif length < 0:
            connection.phase = UNTIL_CLOSE
            connection.broken = True
            connection.body_bytes = there
        else:
            connection.phase = BODY
            connection.body_bytes = length
            connection.left = length - there
            if connection.left <= 0:
                self._end(number, now)
            elif connection.left > KEPT:
                self._read_body(number, now)

    cdef void _read_body(self, int number, int64_t now) noexcept nogil:
        cdef Connection* connection = &self.connections[number]
        cdef size_t room = KEPT - connection.kept
        cdef bint keeps = room > 0 and connection.phase == BODY and <int64_t>room >= connection.left
        cdef char* target = self.scratch
        cdef int flags = 0
        cdef size_t wanted = DISCARDED
        cdef ssize_t count
        if keeps:
            target, wanted = connection.buffer + connection.kept, <size_t>connection.left
        elif connection.phase == BODY:
            flags = MSG_TRUNC
            wanted = <size_t>connection.left if connection.left < DISCARDED else DISCARDED
        count = recv(connection.fd, target, wanted, flags)
        if count < 0 and (errno == EAGAIN or errno == EINTR):
            return
        if count <= 0:
            if connection.phase == UNTIL_CLOSE and count == 0:
                self._end(number, now)
            else:
                self._lose(number, now)
            return
        self.received_bytes += count
        if connection.phase == CHUNKS:
            if self._take_chunks(connection, target, count):
                self._end(number, now_ns())
            return
        if keeps:
            connection.kept += <size_t>count
        connection.left -= count
        if connection.phase == UNTIL_CLOSE:
            connection.body_bytes += count
        elif connection.left == 0:
            self._end(number, now_ns())

    cdef bint _take_chunks(self, Connection* connection, const char* data, int64_t length) noexcept nogil:
        """Take the framing off; whether the body has ended.

        States: 0 in a size, 1 after it up to the line's end, 2 in data, 3 in the CRLF after
        data, 4 in trailers.  The first bytes of the body are kept without their framing.
        """
        cdef int64_t offset = 0, taken
        cdef int digit
        while offset < length:
            if connection.chunk_state == 2:
                taken = min(connection.chunk_left, length - offset)
                self._keep(connection, data + offset, taken)
                connection.chunk_left -= taken
                connection.body_bytes += taken
                offset += taken
                if connection.chunk_left == 0:
                    connection.chunk_state = 3
                continue
            if data[offset] == c"\n":
                if connection.chunk_state == 4 and connection.line_is_empty:
                    return True
                if connection.chunk_state == 3:
                    connection.chunk_state = 0
                elif connection.chunk_state < 2:
                    connection.chunk_state = 2 if connection.chunk_left else 4
                connection.line_is_empty = True
            elif data[offset] != c"\r":
                connection.line_is_empty = False
                if connection.chunk_state == 0:
                    digit = hex_digit(data[offset])
                    if digit < 0:
                        connection.chunk_state = 1
                    elif connection.chunk_left < MAX_SIZE:
                        connection.chunk_left = connection.chunk_left * 16 + digit
            offset += 1
        return False

    cdef void _keep(self, Connection* connection, const char* data, int64_t length) noexcept nogil:
        # In place when the data lies in the buffer itself, behind its framing.
        cdef size_t count = min(<size_t>length, KEPT - connection.kept)
        memmove(connection.buffer + connection.kept, data, count)
        connection.kept += count

    cdef bint _is_right(self, Connection* connection) noexcept nogil:
        cdef Request* request = self._request(connection)
        cdef const char* body = connection.buffer + connection.head_end
        cdef size_t there = connection.kept - connection.head_end
        if connection.status != request.status or connection.sending:
            return False
        if request.body_bytes >= 0 and connection.body_bytes != request.body_bytes:
            return False
        if request.compared_bytes:
            if there < request.compared_bytes or memcmp(body, request.body, request.compared_bytes):
                return False
        if request.holds_bytes:
            return memmem(body, there, request.holds, request.holds_bytes) is not NULL
        return True

    cdef void _end(self, int number, int64_t now) noexcept nogil:
        """Judge an answer that is all there, and go on."""
        cdef Connection* connection = &self.connections[number]
        if self._is_right(connection):
            self.answered += 1
            self.latencies[bucket_of(<uint64_t>(now - connection.began_ns))] += 1
        else:
            self._note_example(connection)
        if self.answers is not NULL:
            memcpy(self.answers + connection.position * KEPT, connection.buffer, connection.kept)
            self.answer_bytes[connection.position] = <uint32_t>connection.kept
        self.under_way -= 1
        self.last_answer_ns = now
        if connection.broken or connection.sending:
            self._reconnect(number)
        self._next(number, now)

    cdef void _lose(self, int number, int64_t now) noexcept nogil:
        """Count an answer that does not come; go on with a new connection."""
        self._note_example(&self.connections[number])
        self.under_way -= 1
        self.last_answer_ns = now
        self._reconnect(number)
        self._next(number, now)

    cdef void _note_example(self, Connection* connection) noexcept nogil:
        cdef int number = self.example_count
        self.failed += 1
        if number == EXAMPLES:
            return
        self.example_count += 1
        self.example_position[number] = connection.position
        self.example_bytes[number] = min(connection.kept, <size_t>EXAMPLE)
        memcpy(&self.example[number * EXAMPLE], connection.buffer, self.example_bytes[number])

    cdef void _reconnect(self, int number) noexcept nogil:
        """Put a new connection to the same server under the descriptor."""
        cdef Connection* connection = &self.connections[number]
        cdef int fd = socket(self.address.ss_family, SOCK_STREAM, 0)
        self.reconnections += 1
        if fd >= 0:
            adopt_congestion(fd, connection.fd)
        if fd < 0 or connect(fd, <sockaddr*>&self.address, self.address_bytes) < 0:
            self.fault = errno
            if fd >= 0:
                close(fd)
            return
        dup2(fd, connection.fd)
        close(fd)
        connection.sending = False
        self._watch(number)


cdef void adopt_congestion(int fd, int other) noexcept nogil:
    """Have a socket send at the pace of another; without that choice, at the system's."""
    cdef char[16] name  # TCP_CA_NAME_MAX
    cdef socklen_t length = sizeof(name)
    if getsockopt(other, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0:
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, length)


cdef int hex_digit(char byte) noexcept nogil:
    if c"0" <= byte <= c"9":
        return byte - c"0"
    byte |= 0x20
    return byte - c"a" + 10 if c"a" <= byte <= c"f" else -1


cdef int status_of(const char* head, size_t length) noexcept nogil:
    """The status of `HTTP/1.1 200 OK`, 0 for anything else."""
    cdef int status = 0
    cdef size_t index
    if length < 12 or memcmp(head, b"HTTP/1.", 7) or head[8] != c" ":
        return 0
    for index in range(9, 12):
        if not c"0" <= head[index] <= c"9":
            return 0
        status = status * 10 + (head[index] - c"0")
    return status


cdef int64_t parse_framing(const char* head, size_t length, bint* chunked, bint* broken) noexcept nogil:
    """The Content-Length, -1 without; notes a chunked body and a connection that will be closed."""
    cdef const char* line = head
    cdef const char* end = head + length
    cdef const char* value
    cdef int64_t found = -1
    cdef size_t rest
    while True:
        line = <const char*>memmem(line, <size_t>(end - line), b"\r\n", 2)
        if line is NULL:
            return found
        line += 2
        rest = <size_t>(end - line)
        if rest > 15 and strncasecmp(line, b"content-length:", 15) == 0:
            found = 0
            value = line + 15
            while value < end and value[0] == c" ":
                value += 1
            while value < end and c"0" <= value[0] <= c"9":
                if found < MAX_SIZE:
                    found = found * 10 + (value[0] - c"0")
                value += 1
        elif rest > 26 and strncasecmp(line, b"transfer-encoding: chunked", 26) == 0:
            chunked[0] = True
        elif rest > 17 and strncasecmp(line, b"connection: close", 17) == 0:
            broken[0] = True
