"""s5cmd."""

from __future__ import annotations

from driving import Driver, run, serve


class S5cmd(Driver):
    distributions = ("s5cmd",)

    def versions(self) -> list[str]:
        return [f"s5cmd {run('s5cmd', 'version').strip()}"]

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        lines = run("s5cmd", "ls", "--show-fullpath", f"s3://{bucket}/{prefix}*").splitlines()
        return [line.removeprefix(f"s3://{bucket}/") for line in lines]

    def read(self, bucket: str, key: str, file: str) -> None:
        run("s5cmd", "cp", "--raw", f"s3://{bucket}/{key}", file)

    def write(self, bucket: str, key: str, file: str) -> None:
        run("s5cmd", "cp", "--raw", file, f"s3://{bucket}/{key}")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        run("s5cmd", "cp", "--raw", "--part-size", "5", file, f"s3://{bucket}/{key}")

    def delete(self, bucket: str, key: str) -> None:
        run("s5cmd", "rm", "--raw", f"s3://{bucket}/{key}")

    def copy(self, bucket: str, key: str, target: str) -> None:
        run("s5cmd", "cp", "--raw", f"s3://{bucket}/{key}", f"s3://{bucket}/{target}")


if __name__ == "__main__":
    serve(S5cmd())
