"""Runs as its own program: isolates itself, then becomes the command.

Started as `python -I -S launcher.py PLAN_FD STATUS_FD`; PLAN_FD holds one JSON
object (see `Plan`), STATUS_FD receives one JSON line and closes when the
command has taken over. It makes a mount namespace in which /tmp is an overlay
(lower: the real /tmp) and /pfs the job's folder. It imports the standard
library only and nothing of Sidegate, so that it starts in some 30 ms, and knows
no jobs. Texts in the plan are bytes decoded as Latin-1: names need not be UTF-8.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import stat
import sys
from typing import Any, NoReturn, TypedDict

TMP = "/tmp"
PFS = "/pfs"
EXIT_NOT_STARTED = 127

# <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 0x1, 0x2, 0x4, 0x20
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000
_MNT_DETACH = 0x2
_PR_SET_PDEATHSIG = 1


class Plan(TypedDict):
    """What to do; `scratch` holds `upper`, `work` and `root` folders.

    Without `scratch`, `memory` puts the upper layer of /tmp into a tmpfs, or /tmp stays as it is.
    `pfs` is the folder to show as /pfs, or none; `shared` folders stay as they are though they lie
    below /tmp. A probe isolates itself, reports and ends.
    `descriptors` is how many the command may have open: its soft limit.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    isolate: bool
    scratch: str | None
    memory: bool
    pfs: str | None
    shared: list[str]
    probe: bool
    descriptors: int


class Refused(Exception):
    """The kernel does not allow a step of the isolation."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(f"{step}: {os.strerror(number)}")
        self.number = number


class _Kernel:
    """The system calls that the standard library does not have."""

    def __init__(self) -> None:
        self.libc: Any = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int, step: str) -> None:
        if result != 0:
            raise Refused(step, ctypes.get_errno())

    def unshare(self, flags: int, step: str) -> None:
        self._check(self.libc.unshare(ctypes.c_int(flags)), step)

    def mount(
        self, source: str, target: str, kind: str | None, flags: int, options: str | None, step: str
    ) -> None:
        result = self.libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            None if kind is None else os.fsencode(kind),
            ctypes.c_ulong(flags),
            None if options is None else os.fsencode(options),
        )
        self._check(result, step)

    def bind(self, source: str, target: str, flags: int = 0) -> None:
        self.mount(source, target, None, _MS_BIND | flags, None, f"bind {target}")

    def change_root(self, root: str) -> None:
        """Make `root` the root; the old one is left to those who have it open."""
        old = f"{root}/.old"
        os.mkdir(old)
        self._check(self.libc.pivot_root(os.fsencode(root), os.fsencode(old)), "pivot_root")
        os.chdir("/")
        self._check(self.libc.umount2(b"/.old", ctypes.c_int(_MNT_DETACH)), "detach the old root")
        os.rmdir("/.old")

    def die_with_parent(self) -> None:
        self.libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)


def isolate(kernel: _Kernel, plan: Plan) -> None:
    """Enter a mount namespace of our own and build what the plan asks for.

    Raises Refused; a namespace entered before that stays, without effect on others.
    """
    _enter_namespace(kernel)
    held = _hold_places(plan)
    if plan["scratch"] is not None or plan["memory"]:
        _cover_tmp(kernel, plan)
        # What must not be private or is a mount of its own shows through again.
        for path, descriptor in held.items():
            kernel.bind(f"/proc/self/fd/{descriptor}", path, _MS_REC)
    if plan["pfs"] is not None:
        _show_pfs(kernel, plan["pfs"], plan["scratch"])
    for descriptor in held.values():
        os.close(descriptor)


def _enter_namespace(kernel: _Kernel) -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        kernel.unshare(_CLONE_NEWNS, "mount namespace")
    else:
        kernel.unshare(_CLONE_NEWNS | _CLONE_NEWUSER, "user and mount namespace")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    # Slave: what is mounted outside later is seen here, and nothing of ours is seen outside.
    kernel.mount("none", "/", None, _MS_REC | _MS_SLAVE, None, "slave mounts")


def _hold_places(plan: Plan) -> dict[str, int]:
    """Open the places below /tmp that the overlay would hide or make private."""
    places = [*_mount_points(), *plan["shared"]]
    held = {}
    for path in sorted(set(places)):  # outer ones first: what lies deeper is bound over them
        if path.startswith(f"{os.path.realpath(TMP)}/"):
            with contextlib.suppress(OSError):  # a mount that we may not enter stays hidden
                held[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
    return held


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ")[4] for line in file]
    return [os.fsdecode(field.decode("unicode_escape").encode("latin-1")) for field in fields]


def _cover_tmp(kernel: _Kernel, plan: Plan) -> None:
    scratch = plan["scratch"]
    if scratch is None:
        scratch = "/run" if os.path.isdir("/run") else "/mnt"
        kernel.mount("tmpfs", scratch, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=700", "tmpfs for /tmp")
        for name in ("upper", "work"):
            os.mkdir(f"{scratch}/{name}")
    os.chmod(f"{scratch}/upper", stat.S_IMODE(os.stat(TMP).st_mode))
    upper, work = (_option(f"{scratch}/{name}") for name in ("upper", "work"))
    options = f"lowerdir={TMP},upperdir={upper},workdir={work}"
    flags = _MS_NOSUID | _MS_NODEV
    try:
        kernel.mount("overlay", TMP, "overlay", flags, options, "overlay on /tmp")
    except Refused as refusal:
        if refusal.number not in (errno.EPERM, errno.EINVAL):
            raise
        # Without rights over trusted.* attributes, overlayfs keeps its own in user.* (kernel 5.11).
        kernel.mount("overlay", TMP, "overlay", flags, f"{options},userxattr", "overlay on /tmp")
    if plan["scratch"] is None:
        kernel.libc.umount2(os.fsencode(scratch), ctypes.c_int(_MNT_DETACH))


def _option(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _show_pfs(kernel: _Kernel, folder: str, scratch: str | None) -> None:
    with contextlib.suppress(OSError):  # not allowed to: then the root is rebuilt
        os.mkdir(PFS, 0o755)
    if not os.path.isdir(PFS):
        if scratch is None:
            raise Refused(f"no {PFS} and nowhere to build a root", errno.ENOENT)
        _rebuild_root(kernel, f"{scratch}/root", folder)
        return
    kernel.bind(folder, PFS)


def _rebuild_root(kernel: _Kernel, root: str, folder: str) -> None:
    """Change to a root that has /pfs, and else what the old one has."""
    kernel.mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755", "tmpfs for the root")
    for entry in os.scandir("/"):
        target = f"{root}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            kernel.bind(entry.path, target, _MS_REC)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
            kernel.bind(entry.path, target)
    os.mkdir(f"{root}{PFS}")
    kernel.bind(folder, f"{root}{PFS}")
    kernel.change_root(root)
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    kernel.mount("none", "/", None, flags, None, "root read-only")


def _report(status: int, **fields: object) -> None:
    os.write(status, json.dumps(fields).encode() + b"\n")


def _stop(status: int, **fields: object) -> NoReturn:
    _report(status, **fields)
    os._exit(EXIT_NOT_STARTED)


def _load_plan(descriptor: int) -> Plan:
    def decode(value: Any) -> Any:
        if isinstance(value, str):
            return os.fsdecode(value.encode("latin-1"))
        if isinstance(value, list):
            return [decode(inner) for inner in value]
        if isinstance(value, dict):
            return {decode(key): decode(inner) for key, inner in value.items()}
        return value

    with open(descriptor, "rb") as file:
        fields = json.load(file)
    for key in ("argv", "env", "cwd", "scratch", "pfs", "shared"):
        fields[key] = decode(fields[key])
    plan: Plan = fields
    return plan


def _become(plan: Plan, status: int) -> NoReturn:
    try:
        os.chdir(plan["cwd"])
    except OSError as error:
        _stop(status, stage="working directory", number=error.errno)
    # Python ignores these two, and a program would inherit that.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    _limit_descriptors(plan["descriptors"])
    try:
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])
    except OSError as error:
        _stop(status, stage="command", number=error.errno)


def _limit_descriptors(count: int) -> None:
    """Take back what a gateway allowed itself: select(2) knows no descriptor above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and count < soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def main() -> NoReturn:
    """Follow the plan; returns to nobody."""
    status = int(sys.argv[2])
    os.set_inheritable(status, False)
    plan = _load_plan(int(sys.argv[1]))
    on_linux = sys.platform == "linux"
    kernel = _Kernel() if on_linux else None
    if plan["isolate"]:
        if kernel is None:
            _stop(status, stage="isolation", reason=f"{sys.platform} has no mount namespaces")
        try:
            isolate(kernel, plan)
        except (Refused, OSError) as error:
            _stop(status, stage="isolation", reason=str(error))
    namespace = os.stat("/proc/self/ns/mnt").st_ino if on_linux else 0
    _report(status, stage="ready", namespace=namespace)
    if plan["probe"]:
        os._exit(0)
    if kernel is not None:
        kernel.die_with_parent()
    _become(plan, status)


if __name__ == "__main__":
    main()
