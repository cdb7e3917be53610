"""The errors of speciale: each message is one clear sentence that says what was wrong,
with the value, where, and what to do. The command line prints it and exits with 1."""


class SpecialeError(Exception):
    """Base of every error that a user can cause and can mend."""


class ConfigError(SpecialeError, ValueError):
    """A model configuration or recipe that cannot work: unknown keys, impossible shapes."""


class CheckpointError(SpecialeError):
    """A checkpoint or run folder that is missing, truncated, corrupt or does not fit."""


class DataError(SpecialeError, ValueError):
    """Training or evaluation data that is empty, unreadable or of the wrong form."""


class TrainingError(SpecialeError):
    """Training that cannot go on, such as a loss that is not finite."""


class NoSignalError(TrainingError):
    """RL whose groups are all wrong, or all right, step after step: rewards tell it nothing."""


class RequestError(SpecialeError, ValueError):
    """A generation request that cannot be served: too long, ids out of range, impossible values."""


class OverloadedError(SpecialeError):
    """The engine's queue is full: the request was not taken; try again later."""
