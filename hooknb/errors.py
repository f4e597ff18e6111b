"""Every error that hooknb raises on purpose.

::

    HooknbError
    ├── SettingError (ValueError)      an invalid setting: names it and the remedy
    │   └── PathError                  an invalid path, with the column
    ├── PayloadError (ValueError)      a body that does not match its declared type
    │   └── SampleError                a pasted sample that cannot be read, and where
    ├── ExpressionError                an expression cannot be applied to these values
    ├── RequestError                   a node's request gets no response, or is not allowed
    ├── StoreError                     the store cannot be opened, read or written
    │   ├── StoreVersionError          written by a newer hooknb
    │   └── StoreUnavailableError      locked, full or read-only: try again
    ├── ServerError                    the server cannot start, or is not running
    │   ├── PortInUseError (OSError)   another program uses the port
    │   └── PublicationError           a hook cannot be published through the Jupyter server
    ├── RecordNotFoundError (LookupError)   no such delivery, execution, revision or workflow
    └── WaitTimeoutError (TimeoutError)     nothing matching arrived in time
"""

from __future__ import annotations

__all__ = [
    "ExpressionError",
    "HooknbError",
    "PathError",
    "PayloadError",
    "PortInUseError",
    "PublicationError",
    "RecordNotFoundError",
    "RequestError",
    "SampleError",
    "ServerError",
    "SettingError",
    "StoreError",
    "StoreUnavailableError",
    "StoreVersionError",
    "WaitTimeoutError",
]


class HooknbError(Exception):
    """The root of every error that hooknb raises on purpose."""


class SettingError(HooknbError, ValueError):
    """A setting has an invalid value.

    Parameters
    ----------
    setting
        The setting's name or path, such as ``max_body`` or ``nodes[1].status``.
    problem
        What is wrong with it, and what to write instead.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class PathError(SettingError):
    """A text is not a path of the grammar in :mod:`hooknb.paths`.

    Parameters
    ----------
    path
        The text.
    column
        The first invalid column, counted from 1.
    problem
        What is wrong there, and what to write instead.
    """

    def __init__(self, path: str, column: int, problem: str) -> None:
        super().__init__(f"path {path!r}", f"column {column}: {problem}")
        self.path = path
        self.column = column


class PayloadError(HooknbError, ValueError):
    """A body does not match its declared type.

    Parameters
    ----------
    status
        The HTTP status of the response: 400, 413 or 415.
    reason
        The short reason stored with the delivery, such as ``invalid json``.
    detail
        One sentence: what is wrong, where, and the remedy.
    """

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class SampleError(PayloadError):
    """A pasted sample cannot be read; the message says where."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, "invalid sample", detail)


class ExpressionError(HooknbError):
    """An expression cannot be applied to these values; the message names them."""


class RequestError(HooknbError):
    """A node's request gets no response, or its address is not allowed.

    The message names the address without user name, password and query.
    """


class StoreError(HooknbError):
    """The store cannot be opened, read or written."""


class StoreVersionError(StoreError):
    """The store was written by a newer hooknb than this one."""


class StoreUnavailableError(StoreError):
    """The store is locked, full or read-only at the moment; nothing was written."""


class ServerError(HooknbError):
    """The server cannot start, or is not running."""


class PortInUseError(ServerError, OSError):
    """Another program listens on the requested port."""


class PublicationError(ServerError):
    """A hook cannot be published through the Jupyter server; the message says what is missing."""


class RecordNotFoundError(HooknbError, LookupError):
    """No delivery, execution, revision or workflow has this id or name."""


class WaitTimeoutError(HooknbError, TimeoutError):
    """Nothing matching arrived in time; the message says what did."""
