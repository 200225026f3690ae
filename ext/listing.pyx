# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Names, numbers and dates of a listing between fixed text, compiled.

`sidegate/native/pure/listing.py` defines what it does.  One pass measures, so
that the result is allocated at its size and filled by a second.  The GIL is
kept: a page of 1000 rows takes less time than a busy thread may take to give
it back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from sidegate.native.listing_text import LAST_SECOND, SAFE_IN_URL, XML_REPLACEMENTS

cdef enum:
    # The longest replacement is `&quot;`.
    REPLACEMENT_BYTES = 6
    DATE_BYTES = 24
    SECOND_BYTES = 19

cdef struct Replacement:
    uint8_t[REPLACEMENT_BYTES] text
    uint8_t length

# What each byte is written as: [0] as XML text, [1] percent-encoded.
cdef Replacement[2][256] WRITTEN
cdef int64_t FIRST_INVALID_US = (<int64_t>LAST_SECOND + 1) * 1000000


cdef int set_replacement(int url, int byte, bytes text) except -1:
    if len(text) > REPLACEMENT_BYTES:
        raise ImportError(f"the compiled listing has no room for {text!r}")
    memcpy(WRITTEN[url][byte].text, PyBytes_AS_STRING(text), len(text))
    WRITTEN[url][byte].length = <uint8_t>len(text)
    return 0


for _byte in range(256):
    set_replacement(0, _byte, XML_REPLACEMENTS.get(_byte, bytes((_byte,))))
    set_replacement(1, _byte, bytes((_byte,)) if _byte in SAFE_IN_URL else b"%%%02X" % _byte)


cdef Py_ssize_t written_bytes(const Replacement* written, const uint8_t* text, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t total = 0, index
    for index in range(length):
        total += written[text[index]].length
    return total


cdef inline uint8_t* write_text(
    uint8_t* place, const Replacement* written, const uint8_t* text, Py_ssize_t length
) noexcept nogil:
    cdef const Replacement* one
    cdef Py_ssize_t index
    for index in range(length):
        one = &written[text[index]]
        if one.length == 1:
            place[0] = one.text[0]
            place += 1
        else:
            memcpy(place, one.text, one.length)
            place += one.length
    return place


cdef inline uint8_t* write_bytes(uint8_t* place, bytes text) noexcept:
    memcpy(place, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return place + PyBytes_GET_SIZE(text)


cdef inline int digits_of(uint64_t number) noexcept nogil:
    cdef int count = 1
    while number >= 10:
        number //= 10
        count += 1
    return count


cdef inline uint8_t* write_number(uint8_t* place, uint64_t number, int digits) noexcept nogil:
    cdef int index
    for index in range(digits - 1, -1, -1):
        place[index] = <uint8_t>(48 + number % 10)
        number //= 10
    return place + digits


cdef void write_second(uint8_t* place, int64_t seconds) noexcept nogil:
    """Write `YYYY-MM-DDThh:mm:ss`; the calendar after H. Hinnant, "chrono-compatible Low-Level Date Algorithms"."""
    cdef int64_t days = seconds // 86400 + 719468
    cdef int64_t rest = seconds % 86400
    cdef int64_t era = days // 146097
    cdef int64_t day_of_era = days % 146097
    cdef int64_t year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    cdef int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    cdef int64_t shifted_month = (5 * day_of_year + 2) // 153
    cdef int64_t month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    place = write_number(place, <uint64_t>(era * 400 + year_of_era + (month <= 2)), 4)
    place[0] = c"-"
    place = write_number(place + 1, <uint64_t>month, 2)
    place[0] = c"-"
    place = write_number(place + 1, <uint64_t>(day_of_year - (153 * shifted_month + 2) // 5 + 1), 2)
    place[0] = c"T"
    place = write_number(place + 1, <uint64_t>(rest // 3600), 2)
    place[0] = c":"
    place = write_number(place + 1, <uint64_t>(rest // 60 % 60), 2)
    place[0] = c":"
    write_number(place + 1, <uint64_t>(rest % 60), 2)


cdef int check_ends(const uint32_t[::1] ends, Py_ssize_t rows, Py_ssize_t length) except -1:
    cdef uint32_t previous = 0
    cdef Py_ssize_t row
    if ends.shape[0] != rows:
        raise ValueError("the columns of a listing have different lengths")
    for row in range(rows):
        if ends[row] < previous or ends[row] > length:
            raise ValueError("a text column of a listing has ends out of order")
        previous = ends[row]
    return 0


cdef Py_ssize_t numbers_bytes(const int64_t[::1] sizes, const int64_t[::1] times_us) except -1:
    cdef Py_ssize_t total = 0, row
    if sizes.shape[0] != times_us.shape[0]:
        raise ValueError("the columns of a listing have different lengths")
    for row in range(sizes.shape[0]):
        if sizes[row] < 0:
            raise ValueError(f"a file of {sizes[row]} bytes cannot be listed")
        if not 0 <= times_us[row] < FIRST_INVALID_US:
            raise ValueError(f"{times_us[row]} microseconds are no date that can be listed")
        total += digits_of(<uint64_t>sizes[row])
    return total


def render_rows(columns, tuple texts not None, *, bint url):
    cdef bytes names = columns.names, tags = columns.tags
    cdef const uint32_t[::1] name_ends = columns.name_ends
    cdef const uint32_t[::1] tag_ends = columns.tag_ends
    cdef const int64_t[::1] sizes = columns.sizes
    cdef const int64_t[::1] times_us = columns.times_us
    cdef Py_ssize_t rows = sizes.shape[0], total, row
    cdef bytes before, after_name, after_time, after_tag, after_size, rendered
    before, after_name, after_time, after_tag, after_size = texts
    total = numbers_bytes(sizes, times_us)
    check_ends(name_ends, rows, len(names))
    check_ends(tag_ends, rows, len(tags))
    if rows == 0:
        return b""
    cdef const Replacement* written = WRITTEN[url]
    cdef const uint8_t* name = <const uint8_t*>PyBytes_AS_STRING(names)
    cdef const uint8_t* tag = <const uint8_t*>PyBytes_AS_STRING(tags)
    cdef uint32_t name_start = 0, tag_start = 0
    cdef int64_t second = -1, us
    cdef uint8_t[SECOND_BYTES] second_text
    total += written_bytes(written, name, name_ends[rows - 1]) + tag_ends[rows - 1]
    total += rows * (DATE_BYTES + sum([len(text) for text in texts]))
    rendered = PyBytes_FromStringAndSize(NULL, total)
    cdef uint8_t* place = <uint8_t*>PyBytes_AS_STRING(rendered)
    for row in range(rows):
        place = write_bytes(place, before)
        place = write_text(place, written, name + name_start, name_ends[row] - name_start)
        name_start = name_ends[row]
        place = write_bytes(place, after_name)
        us = times_us[row]
        if us // 1000000 != second:
            second = us // 1000000
            write_second(second_text, second)
        memcpy(place, second_text, SECOND_BYTES)
        place[SECOND_BYTES] = c"."
        place = write_number(place + SECOND_BYTES + 1, <uint64_t>(us // 1000 % 1000), 3)
        place[0] = c"Z"
        place = write_bytes(place + 1, after_time)
        memcpy(place, tag + tag_start, tag_ends[row] - tag_start)
        place = write_bytes(place + (tag_ends[row] - tag_start), after_tag)
        tag_start = tag_ends[row]
        place = write_number(place, <uint64_t>sizes[row], digits_of(<uint64_t>sizes[row]))
        place = write_bytes(place, after_size)
    assert place - <uint8_t*>PyBytes_AS_STRING(rendered) == total
    return rendered


def render_names(names, bytes before not None, bytes after not None, *, bint url):
    cdef const Replacement* written = WRITTEN[url]
    cdef list texts = list(names)
    cdef Py_ssize_t total = 0
    cdef bytes text, rendered
    for text in texts:
        total += written_bytes(written, <const uint8_t*>PyBytes_AS_STRING(<bytes?>text), len(text))
    total += len(texts) * (len(before) + len(after))
    rendered = PyBytes_FromStringAndSize(NULL, total)
    cdef uint8_t* place = <uint8_t*>PyBytes_AS_STRING(rendered)
    for text in texts:
        place = write_bytes(place, before)
        place = write_text(place, written, <const uint8_t*>PyBytes_AS_STRING(text), len(text))
        place = write_bytes(place, after)
    return rendered
