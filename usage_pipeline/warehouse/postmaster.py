"""The process behind a data folder: told by its pid file, and by what that process really is."""

from pathlib import Path

from usage_pipeline.warehouse import processes


def pid_of(data: Path) -> int | None:
    """The process that serves this data, by its pid file and by what that process really is."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if f" -D {data} " in processes.command_line(pid) else None


def forget_the_dead(data: Path, sockets: Path) -> None:
    """After a crash the lock files may name a stranger's process; PostgreSQL would refuse for ever.

    What they guard stays guarded: PostgreSQL itself asks whether a session still holds the shared memory.
    """
    if pid_of(data) is None:
        for lock in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)
