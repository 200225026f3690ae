# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: freethreading_compatible=True
"""Parts of files to sockets, through a pipe or behind a head.

`sidegate/native/pure/file_pipe.py` defines what it does.

It is compiled because it is several system calls for each MiB, or for one answer, each
of which would let go of the GIL and take it again.
"""

cimport cython
from libc.errno cimport EAGAIN, EINTR, EPIPE, errno
from libc.stdint cimport int64_t
from libc.string cimport memset, strerror
from posix.types cimport off_t

from sidegate.native.pure.file_pipe import close_pipe, open_pipe

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <sys/socket.h>
    #include <sys/types.h>
    #ifdef __linux__
    #include <sys/sendfile.h>

    static ssize_t send_file(int socket, int file, off_t offset, size_t count) {
        return sendfile(socket, file, &offset, count);
    }
    #else
    /* The descriptors are never there (open_pipe), and a file is copied. */
    #define SPLICE_F_MOVE 0
    #define SPLICE_F_NONBLOCK 0
    #define SPLICE_F_MORE 0
    #define MSG_MORE 0

    static ssize_t splice(int source, off_t *source_offset, int sink, off_t *sink_offset, size_t count, unsigned flags) {
        errno = ENOSYS;
        return -1;
    }

    static ssize_t send_file(int socket, int file, off_t offset, size_t count) {
        errno = ENOSYS;
        return -1;
    }
    #endif
    """
    enum: SPLICE_F_MOVE
    enum: SPLICE_F_NONBLOCK
    enum: SPLICE_F_MORE
    enum: MSG_MORE
    ssize_t splice(
        int source, off_t* source_offset, int sink, off_t* sink_offset, size_t count, unsigned flags
    ) nogil
    ssize_t send_file(int socket, int file, off_t offset, size_t count) nogil

cdef extern from "sys/uio.h" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "sys/socket.h" nogil:
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int socket, const msghdr* message, int flags)

cdef extern from "unistd.h" nogil:
    ssize_t pread(int file, void* room, size_t count, off_t offset)

cdef enum:
    PAGE_BYTES = 4096  # COPIED_BYTES of the definition


def send_behind_head(int socket, bytes head, int file, int64_t offset, int64_t copied, int64_t count):
    cdef iovec[2] parts
    cdef ssize_t sent
    if not 0 <= copied <= PAGE_BYTES or count < 0:
        raise ValueError(f"{copied} bytes of a file cannot be copied, nor {count} sent")
    parts[0].iov_base, parts[0].iov_len = <char*>head, len(head)
    parts[1].iov_len = copied
    with nogil:
        sent = send_parts(socket, parts, file, offset, count)
    return max(sent, 0)


cdef ssize_t send_parts(int socket, iovec* parts, int file, off_t offset, size_t count) noexcept nogil:
    """Return how many bytes were sent; whoever goes on meets again what kept the others."""
    cdef char[PAGE_BYTES] first
    cdef msghdr message
    cdef ssize_t copied = parts[1].iov_len
    cdef ssize_t sent, more
    if copied and pread(file, first, copied, offset) != copied:
        return 0
    parts[1].iov_base = first
    memset(&message, 0, sizeof(message))
    message.msg_iov, message.msg_iovlen = parts, 2
    sent = sendmsg(socket, &message, MSG_MORE)
    if count and sent == <ssize_t>parts[0].iov_len + copied:
        more = send_file(socket, file, offset + copied, count)
        if more > 0:
            sent += more
    return sent


cdef ssize_t move(int source, off_t* offset, int sink, size_t count, unsigned flags) noexcept nogil:
    """`splice`, again where a signal came before the first byte."""
    cdef ssize_t moved
    while True:
        moved = splice(source, offset, sink, NULL, count, flags)
        if moved >= 0 or errno != EINTR:
            return moved


@cython.final
cdef class FilePipe:
    cdef int reader
    cdef int writer
    cdef int sink
    cdef readonly int64_t room_bytes

    def __cinit__(self, int64_t room_bytes):
        self.reader = self.writer = self.sink = -1
        self.room_bytes = room_bytes
        self.reader, self.writer, self.sink = open_pipe(room_bytes)

    def __dealloc__(self):
        close_pipe((self.reader, self.writer, self.sink))

    def close(self):
        # No descriptor is closed twice: its number may be another's by then. Not for the calls of a
        # `send` beside it: whoever lets go of the GIL lets go of this, too. A pipe belongs to one thread.
        with cython.critical_section(self):
            descriptors = self.reader, self.writer, self.sink
            self.reader = self.writer = self.sink = -1
        close_pipe(descriptors)

    @property
    def closed(self):
        return self.reader < 0

    def send(self, int socket, int file, int64_t offset, int64_t count):
        cdef int64_t sent = 0, held = 0
        cdef int fault
        if self.reader < 0:
            raise ValueError("the pipe is closed")
        with nogil:
            fault = self._send(socket, file, offset, count, &sent, &held)
        if held:
            self.close()
        if sent or not fault:
            return sent
        if fault == EAGAIN:
            return None
        raise OSError(fault, strerror(fault).decode())

    cdef int _send(
        self, int socket, int file, int64_t offset, int64_t count, int64_t* sent, int64_t* held
    ) noexcept nogil:
        """Return 0 or an errno; `held` are bytes that the pipe could not be rid of."""
        cdef off_t position
        cdef ssize_t moved
        cdef int fault = 0
        while sent[0] < count and not fault:
            position = offset + sent[0]
            moved = move(file, &position, self.writer, min(count - sent[0], self.room_bytes), SPLICE_F_MOVE)
            if moved <= 0:
                return errno if moved < 0 else 0
            held[0] = moved
            while held[0] and not fault:
                moved = move(
                    self.reader,
                    NULL,
                    socket,
                    held[0],
                    SPLICE_F_NONBLOCK | (SPLICE_F_MORE if sent[0] + held[0] < count else 0),
                )
                if moved > 0:
                    held[0] -= moved
                    sent[0] += moved
                else:
                    fault = errno if moved < 0 else EPIPE
        while held[0]:
            moved = move(self.reader, NULL, self.sink, held[0], 0)
            if moved <= 0:
                break
            held[0] -= moved
        return fault
