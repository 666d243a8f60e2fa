"""Every error that mnemon raises on purpose. One tree, one file; each message says what to do next.

MnemonError                    exit code of the command line
├── UsageError           2     a value, option or setting that cannot be used; nothing was changed
├── ModelError           3     weights missing, damaged or unfit for what was asked
├── StoreError           4     a database that is damaged, newer, foreign or busy; it was left untouched
├── DataError            5     a data file (benchmark, import, pairs) that does not say what it should
├── MissingExtra         6     an optional dependency is not installed; the message names the extra
└── EndpointError        7     a remote model answered wrongly or not at all

Anything else that escapes is a defect: the command line ends with 1. An interrupt ends with 130.
"""

from typing import ClassVar


class MnemonError(Exception):
    """Base of all. `hint` is the next step, printed under the message."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(MnemonError, ValueError):
    exit_code = 2


class ModelError(MnemonError):
    exit_code = 3


class StoreError(MnemonError):
    exit_code = 4


class DataError(MnemonError):
    exit_code = 5


class MissingExtra(MnemonError, ImportError):  # noqa: N818  it names what is missing
    """Raised where an optional library is first needed."""

    exit_code = 6

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the library {library!r}, which is not installed.",
            hint=f"Install it with: pip install 'mnemon[{extra}]'",
        )
        self.library = library
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str, str]]:
        return (type(self), (self.library, self.extra, self.message.partition(" needs the library ")[0]))


class EndpointError(MnemonError):
    exit_code = 7


def one_line(error: Exception) -> str:
    """What another library's error says, to stand in a sentence of ours."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
