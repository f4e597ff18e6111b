"""How large a store is, what of it is whose, and how fast it grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hooknb.store import Store

__all__ = ["LARGE_BYTES", "REMEDY", "HookSize", "StoreSize", "byte_count", "read_store_size"]

LARGE_BYTES: Final = 2**30
"""Bytes of a store from which on something should be done about it."""

REMEDY: Final = (
    "limit what is kept by hook.configure(keep_days=30), or of all hooks by "
    "hooknb.Runtime(keep_bytes=2**30); hook.archive(path) first writes it as Parquet"
)

_MAX_HOOKS: Final = 5  # whose growth is looked for
_DAY: Final = 86_400 * 1_000_000  # microseconds
_WEEK: Final = 7 * _DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class HookSize:
    """What is kept of a hook.

    Attributes
    ----------
    name
        Of the hook.
    deliveries, bytes
        How many are kept, and the bytes of their heads and bodies.
    day, week
        How many it received in the last 24 hours and in the last 7 days.
    """

    name: str
    deliveries: int
    bytes: int
    day: int
    week: int

    def grown(self, received: int) -> int:
        """Return the bytes of so many deliveries of its average size."""
        return received * self.bytes // self.deliveries


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSize:
    """How large a store is.

    Attributes
    ----------
    file, log
        Bytes of its file and of its write-ahead log; 0 where it is in memory.
    hooks
        The largest hooks that keep anything, at most five, the largest first.
    others
        How many smaller ones there are.
    """

    file: int
    log: int
    hooks: tuple[HookSize, ...]
    others: int

    @property
    def is_large(self) -> bool:
        """Whether something should be done about it; :data:`REMEDY` says what."""
        return self.file + self.log >= LARGE_BYTES

    @property
    def files(self) -> str:
        """Its files in words."""
        if not self.file:
            return "in memory"
        log = f" and {byte_count(self.log)} in its log" if self.log else ""
        return f"{byte_count(self.file)}{log}"

    @property
    def growth(self) -> str:
        """The growth of the largest hooks in words; empty where nothing is kept."""
        if not self.hooks:
            return ""
        day = sum(hook.grown(hook.day) for hook in self.hooks)
        week = sum(hook.grown(hook.week) for hook in self.hooks)
        return (
            f"about {byte_count(day)} received in the last 24 hours, {byte_count(week)} in the "
            "last 7 days"
        )

    @property
    def text(self) -> str:
        """All of it in one line."""
        said = [f"store: {self.files}"]
        if self.hooks:
            largest = self.hooks[0]
            said += [self.growth, f"largest: {largest.name}, {byte_count(largest.bytes)}"]
        return "; ".join(said)


def read_store_size(store: Store) -> StoreSize:
    """Read how large a store is: some rows for each of the largest hooks, whatever they keep."""
    kept = [size for size in store.sizes() if size.deliveries]
    now = store.clock.now()
    hooks = tuple(
        HookSize(
            name=size.name,
            deliveries=size.deliveries,
            bytes=size.bytes,
            day=store.count_since(size.workflow_id, now - _DAY),
            week=store.count_since(size.workflow_id, now - _WEEK),
        )
        for size in kept[:_MAX_HOOKS]
    )
    file, log = store.file_bytes()
    return StoreSize(file=file, log=log, hooks=hooks, others=len(kept) - len(hooks))


def byte_count(size: float) -> str:
    """Write a number of bytes in the unit that fits."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004 - bytes of a KiB
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
