# cython: language_level=3
"""What the load loop asks of Linux: sockets, epoll, and the time."""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

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


cdef inline int64_t now_ns() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return <int64_t>time.tv_sec * 1000000000 + time.tv_nsec


cdef inline int connect_like(int other, const sockaddr* address, socklen_t length) noexcept nogil:
    """Return a new connection that sends at the pace of another, -1 with `errno` where there is none."""
    global errno
    cdef int failure
    cdef int fd = socket((<const sockaddr_storage*>address).ss_family, SOCK_STREAM, 0)
    if fd < 0:
        return -1
    adopt_congestion(fd, other)
    if connect(fd, address, length) < 0:
        failure = errno
        close(fd)
        errno = failure
        return -1
    return fd


cdef inline void adopt_congestion(int fd, int other) noexcept nogil:
    """Have a socket send at the pace of another; without that choice, at the system's."""
    cdef char[16] name  # TCP_CA_NAME_MAX
    cdef socklen_t length = sizeof(name)
    if getsockopt(other, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0:
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, length)


cdef inline int watch(int poller, int fd, uint32_t number) noexcept nogil:
    """Have a connection wait for nobody, and be told of what comes on it by its number."""
    cdef epoll_event event
    cdef int yes = 1
    fcntl(fd, F_SETFL, O_NONBLOCK)
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes))
    event.events = EPOLLIN
    event.data.u32 = number
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)


cdef inline void watch_output(int poller, int fd, uint32_t number, bint wanted) noexcept nogil:
    """Be told too, or no more, when a watched connection takes something."""
    cdef epoll_event event
    event.events = EPOLLIN | EPOLLOUT if wanted else EPOLLIN
    event.data.u32 = number
    epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event)


cdef inline void unwatch(int poller, int fd) noexcept nogil:
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL)
