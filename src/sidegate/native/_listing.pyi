from collections.abc import Iterable

from sidegate.native.columns import Columns

def render_rows(columns: Columns, texts: tuple[bytes, bytes, bytes, bytes, bytes], *, url: bool) -> bytes:
    """Return every row as `texts` around name, date, tag and size, in that order.

    Names are percent-encoded for `url`, else written as XML text; a date is
    `YYYY-MM-DDThh:mm:ss.mmmZ`; a tag is written as it is.  Raises ValueError for
    columns that do not fit together, a negative size, and a date outside of the
    years 1970 to 9999.
    """

def render_names(names: Iterable[bytes], before: bytes, after: bytes, *, url: bool) -> bytes:
    """Return every name, written as in `render_rows`, between two texts."""
