"""Every fault of the harness, one row each."""

from typing import Any

from harness.faults.behaviour import IdleHolder, StarvedWorker
from harness.faults.clocks import BackwardsClock, ClockAhead, ClockBehind, JumpingClock
from harness.faults.damage import (
    DamagedWal,
    DeletedDatabase,
    DestroyedHeader,
    FlippedBit,
    ForeignWal,
    GarbageFile,
    LeftOverWal,
    TruncatedFile,
    ZeroedPage,
)
from harness.faults.fault import Fault, NoFault, Sighting
from harness.faults.locks import (
    PassingOpener,
    RivalProcess,
    RivalWriter,
    SnapshotProcess,
    StuckReader,
)
from harness.faults.pauses import PausedUpToLease
from harness.faults.processes import (
    Asked,
    DiedUnsaid,
    KilledInFlight,
    KilledWhileSuspended,
    KilledWorker,
    KilledWriter,
    RestartStorm,
    SuspendedWorker,
)

FAULTS: tuple[Fault[Any], ...] = (
    NoFault(),
    KilledWorker(),
    SuspendedWorker(),
    KilledWhileSuspended(),
    KilledInFlight(),
    DiedUnsaid(),
    KilledWriter(),
    RestartStorm(),
    StarvedWorker(),
    IdleHolder(),
    PausedUpToLease(),
    RivalWriter(),
    RivalProcess(),
    StuckReader(),
    SnapshotProcess(),
    PassingOpener(),
    ClockAhead(),
    ClockBehind(),
    JumpingClock(),
    BackwardsClock(),
    DeletedDatabase(),
    LeftOverWal(),
    ForeignWal(),
    DestroyedHeader(),
    ZeroedPage(),
    TruncatedFile(),
    GarbageFile(),
    FlippedBit(),
    DamagedWal(),
)

__all__ = [
    "FAULTS",
    "Asked",
    "BackwardsClock",
    "ClockAhead",
    "ClockBehind",
    "DamagedWal",
    "DeletedDatabase",
    "DestroyedHeader",
    "DiedUnsaid",
    "Fault",
    "FlippedBit",
    "ForeignWal",
    "GarbageFile",
    "IdleHolder",
    "JumpingClock",
    "KilledInFlight",
    "KilledWhileSuspended",
    "KilledWorker",
    "KilledWriter",
    "LeftOverWal",
    "NoFault",
    "PassingOpener",
    "PausedUpToLease",
    "RestartStorm",
    "RivalProcess",
    "RivalWriter",
    "Sighting",
    "SnapshotProcess",
    "StarvedWorker",
    "StuckReader",
    "SuspendedWorker",
    "TruncatedFile",
    "ZeroedPage",
]
