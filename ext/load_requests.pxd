# cython: language_level=3
"""A request as it is sent, and what its answer must be.  All of it inline, for the load loop alone."""

from libc.stdint cimport int64_t
from libc.string cimport memcmp, memset

from load_answers cimport Answer, memmem
from load_sockets cimport MSG_NOSIGNAL, iovec, msghdr, sendmsg


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


cdef inline ssize_t send_rest(
    int fd, const Request* request, const char* payload, size_t payload_bytes, size_t sent
) noexcept nogil:
    """Send what follows `sent` bytes of head, payload and tail in one call; returns what that does."""
    cdef iovec[3] parts
    cdef msghdr message
    cdef size_t index = 0
    cdef ssize_t behind = <ssize_t>sent - <ssize_t>request.head_bytes
    if behind < 0:
        parts[index].iov_base = <void*>(request.head + sent)
        parts[index].iov_len = request.head_bytes - sent
        index += 1
    if payload_bytes and behind < <ssize_t>payload_bytes:
        parts[index].iov_base = <void*>(payload + (behind if behind > 0 else 0))
        parts[index].iov_len = payload_bytes - <size_t>(behind if behind > 0 else 0)
        index += 1
    behind -= <ssize_t>payload_bytes
    if request.tail_bytes:
        parts[index].iov_base = <void*>(request.tail + (behind if behind > 0 else 0))
        parts[index].iov_len = request.tail_bytes - <size_t>(behind if behind > 0 else 0)
        index += 1
    memset(&message, 0, sizeof(message))
    message.msg_iov, message.msg_iovlen = parts, index
    return sendmsg(fd, &message, MSG_NOSIGNAL)


cdef inline bint is_answered_by(const Request* request, const Answer* answer) noexcept nogil:
    """Whether an answer that is all there is the right one."""
    cdef const char* body = answer.buffer + answer.head_end
    cdef size_t there = answer.kept - answer.head_end
    if answer.status != request.status:
        return False
    if request.body_bytes >= 0 and answer.body_bytes != request.body_bytes:
        return False
    if request.compared_bytes:
        if there < request.compared_bytes or memcmp(body, request.body, request.compared_bytes):
            return False
    if request.holds_bytes:
        return memmem(body, there, request.holds, request.holds_bytes) is not NULL
    return True
