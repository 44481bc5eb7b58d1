"""Errors that a user can mend: command lines print them without a stack trace."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave is wrong.

    The message says what (file, key, line), what was expected, what was found and what to do.
    """


class ConfigError(UserError):
    """A config file, key, value or component name is wrong."""


class DatasetError(UserError):
    """A data set, its annotations or one of its records is wrong."""


class ImageError(UserError):
    """An image file is missing, unreadable or not what its record declares."""


class VideoError(UserError):
    """A video or camera cannot be opened, has no frame that can be decoded, or changes its size."""


class WeightsError(UserError):
    """A checkpoint is damaged, or belongs to another model."""
