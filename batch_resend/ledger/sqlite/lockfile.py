"""The files of a ledger: held by one run at a time, checked, and made durably.

The lock is a file beside the ledger that is never removed: otherwise two runs could each
hold a lock of their own. Any end of the process frees it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from pathlib import Path

from batch_resend.errors import LedgerError, LedgerHeld

_GLANCES, _GLANCE = 5, 0.02  #: times, seconds apart: `is_held` has the lock for a moment
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse"}
_FUSE = "fuse."
#: File systems in user space on a disk of this machine; all others are treated as network
#: file systems (s3fs, rclone, sshfs, gcsfuse and the like).
_LOCAL_FUSE = {
    *("bindfs", "cryfs", "encfs", "gocryptfs", "securefs", "mergerfs", "unionfs", "overlayfs"),
    *("fuse-overlayfs", "ext2", "fuse-ext2", "exfat", "ntfs", "ntfs-3g", "lxcfs", "zfs", "apfs"),
}


def files_of(ledger: Path) -> list[Path]:
    """Return the files that a ledger may consist of."""
    ends = ("", "-wal", "-shm", ".lock", ".new", ".sums", ".sums.new", ".schema-1")
    return [ledger.with_name(ledger.name + end) for end in ends]


def hold(ledger: Path, name: str) -> int:
    """Lock a ledger and return the lock's descriptor; raises `LedgerHeld` if it is held."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(_lock_of(ledger), flags | os.O_NONBLOCK, 0o600)
    try:
        _take(lock, name)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _take(lock: int, name: str) -> None:
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        raise LedgerError(f"The lock file of the {name} is not a regular file. Remove it.")
    for _ in range(_GLANCES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(_GLANCE)
    else:
        holder = os.read(lock, 200).decode("ascii", "replace").strip()
        raise LedgerHeld(
            f"Another run holds the {name} ({holder or 'it has just started'}): this"
            " run made no request. Wait for it to end, then run again."
        )
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()}, since {started}\n".encode(), 0)


def is_held(ledger: Path) -> bool:
    """Whether a run holds the ledger now; raises `OSError` if that cannot be determined."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO would wait
    try:
        lock = os.open(_lock_of(ledger), flags)
    except FileNotFoundError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_of(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.lock")


def inspect(path: Path, name: str) -> int:
    """Raise `LedgerError` if the file cannot be a ledger of this user; return its inode."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise LedgerError(
            f"The {name} is not a regular file (a link, directory or device). Pass the"
            " file itself to --ledger."
        )
    if status.st_uid != os.geteuid():
        raise LedgerError(
            f"The {name} belongs to another user of this machine. Run as that user, or"
            " choose another file with --ledger."
        )
    if status.st_size == 0:
        raise LedgerError(
            f"The {name} is empty and therefore not a valid ledger. Restore it, or remove the"
            " file if you are sure that no messages were sent."
        )
    if status.st_mode & 0o077:
        path.chmod(0o600)
    return status.st_ino


def make_durably(folder: Path) -> None:
    """Create a directory and its parents so that they survive a power cut."""
    if folder.is_dir():
        return
    make_durably(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync(folder.parent)


def create_private(path: Path) -> int:
    """Create a file for its owner alone, whatever the umask, and return it open for writing.

    What was left there by a run that died is removed.
    """
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def sync(folder: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_network(path: Path) -> None:
    """Refuse file systems whose locks and syncs cannot be trusted (Linux only)."""
    try:
        mounts = os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).split("\n")[:-1]
    except OSError:
        return
    where = os.path.realpath(path.parent)
    best, kind = "", ""
    for line in mounts:
        left, _, right = line.partition(" - ")
        # Spaces and backslashes are written as three octal digits.
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left.split(" ")[4])
        if len(mount) >= len(best) and os.path.commonpath([mount, where]) == mount:
            best, kind = mount, right.split(" ")[0]
    if kind in _NETWORK_FILE_SYSTEMS or (
        kind.startswith(_FUSE) and kind.removeprefix(_FUSE) not in _LOCAL_FUSE
    ):
        raise LedgerError(
            f"The ledger {path} would be on a network file system ({kind}), whose locks and syncs"
            " cannot be trusted. Choose a file on a local disk with --ledger."
        )
