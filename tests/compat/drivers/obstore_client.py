"""obstore: object_store of Apache Arrow in Rust."""

from __future__ import annotations

from pathlib import Path

import obstore
from driving import Driver, serve
from obstore.store import S3Store


class Obstore(Driver):
    distributions = ("obstore",)

    def store(self, bucket: str) -> S3Store:
        return S3Store(bucket)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        return [found["path"] for page in obstore.list(self.store(bucket), prefix) for found in page]

    def read(self, bucket: str, key: str, file: str) -> None:
        Path(file).write_bytes(obstore.get(self.store(bucket), key).bytes())

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        Path(file).write_bytes(obstore.get_range(self.store(bucket), key, start=start, end=end))

    def write(self, bucket: str, key: str, file: str) -> None:
        obstore.put(self.store(bucket), key, Path(file))

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        obstore.put(self.store(bucket), key, Path(file), use_multipart=True)

    def delete(self, bucket: str, key: str) -> None:
        obstore.delete(self.store(bucket), key)

    def copy(self, bucket: str, key: str, target: str) -> None:
        obstore.copy(self.store(bucket), key, target)


if __name__ == "__main__":
    serve(Obstore())
