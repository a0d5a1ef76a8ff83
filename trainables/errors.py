"""Every error that Caucus raises on purpose. All have one base class, and each inherits the builtin that it resembles."""

from __future__ import annotations


class CaucusError(Exception):
    """Base of all errors whose message is meant for people: it names what is wrong, the value, the rule, and what to do."""


class SweepFileError(CaucusError, ValueError):
    """The sweep file or an override describes a sweep that cannot be run."""


class DataError(CaucusError, ValueError):
    """The data set is missing, damaged, or too small for the requested split."""


class StoreError(CaucusError, OSError):
    """The store cannot be reached, read or written."""


class ObjectMissing(StoreError, KeyError):
    """A key that the store does not hold."""

    __str__ = Exception.__str__  # KeyError would show the repr of the message


class StoreTooNew(StoreError):
    """The store was written by a newer version of Caucus."""


class DamagedObject(StoreError, ValueError):
    """Stored bytes that do not match their manifest, or a record that cannot be read."""


class MismatchedPredictions(CaucusError, ValueError):
    """Predictions that are not comparable: other images, other labels, another split, or no probabilities."""


class PoolTooLarge(CaucusError, MemoryError):
    """Predictions that fit neither into memory nor onto the scratch disk."""


class ClusterError(CaucusError, RuntimeError):
    """A Ray cluster cannot be joined, or lacks the resources for a single trial."""


class RunMissing(CaucusError, LookupError):
    """No run of that name lies in the store."""


class RunMismatch(CaucusError, ValueError):
    """A run of that name exists, and was started with another sweep or other data."""


class RunTaken(CaucusError, BlockingIOError):
    """Another driver holds the lease of the run."""


class NightDropped(CaucusError, LookupError):
    """A finished night whose checkpoints retention has deleted."""


class RunCutShort(CaucusError, RuntimeError):
    """A run in progress cannot continue. Everything in the store is kept, and the next execution continues from there."""


class CheckpointMismatch(CaucusError, ValueError):
    """A checkpoint of another model or another optimizer."""


class ModelMismatch(CaucusError, ValueError):
    """A model whose output does not have the shape that the data requires."""


class ModelUnusable(CaucusError, ValueError):
    """A network that cannot be built, or that cannot be trained on these images; or weights that do not fit it."""


class PluginUnusable(CaucusError, ValueError):
    """A plug-in that cannot be found or imported, or that does not keep the rules of its kind."""


class OutOfMemory(CaucusError, MemoryError):
    """Not even a small part of a batch fits into the memory of the device."""


class DeviceFault(CaucusError, RuntimeError):
    """A GPU that fails every further call of this process: only a new process can continue."""


class TrialDiverged(CaucusError, ArithmeticError):
    """The loss or a prediction of a trial is not a finite number any more."""
