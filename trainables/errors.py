"""Every error that Caucus raises on purpose. One base, and the builtin that each resembles."""

from __future__ import annotations


class CaucusError(Exception):
    """Base of all errors with a message meant for a person: what, the value, the rule, what to do."""


class SweepFileError(CaucusError, ValueError):
    """The sweep file or an override says something that cannot be run."""


class DataError(CaucusError, ValueError):
    """The data set is missing, damaged, or too small for what was asked."""


class StoreError(CaucusError, OSError):
    """The store cannot be reached, read or written."""


class ObjectMissing(StoreError, KeyError):
    """A key that the store does not hold."""

    __str__ = Exception.__str__  # KeyError would show the repr of the message


class StoreTooNew(StoreError):
    """The store was written by a newer version of Caucus."""


class DamagedObject(StoreError, ValueError):
    """Stored bytes that are not what their manifest promises, or a record that cannot be read."""


class MismatchedPredictions(CaucusError, ValueError):
    """Predictions that do not line up: other images, other labels, another split, or not probabilities."""


class PoolTooLarge(CaucusError, MemoryError):
    """Predictions that fit neither into memory nor onto the scratch disk."""


class ClusterError(CaucusError, RuntimeError):
    """A Ray cluster cannot be joined, or Ray has no room for a single trial."""


class RunMissing(CaucusError, LookupError):
    """No run of that name lies in the store."""


class RunMismatch(CaucusError, ValueError):
    """A run of that name exists and was started with something else."""


class RunTaken(CaucusError, BlockingIOError):
    """Another driver has the run."""


class NightDropped(CaucusError, LookupError):
    """A night that is over, and whose checkpoints retention has deleted."""


class RunCutShort(CaucusError, RuntimeError):
    """A run that was under way cannot go on. What reached the store is kept, and the next execution continues it."""


class CheckpointMismatch(CaucusError, ValueError):
    """A checkpoint of another model or another optimizer."""


class ModelMismatch(CaucusError, ValueError):
    """A model whose answers do not have the shape that the data asks for."""


class ModelUnusable(CaucusError, ValueError):
    """A network that cannot be built, or that cannot be trained on these images; or weights that do not fit it."""


class OutOfMemory(CaucusError, MemoryError):
    """Not even a small part of a batch fits into the memory of the device."""


class DeviceFault(CaucusError, RuntimeError):
    """A GPU that refuses whatever this process asks from now on: the process has to end, and another one to go on."""


class TrialDiverged(CaucusError, ArithmeticError):
    """The loss or a prediction of a trial is not a finite number any more."""
