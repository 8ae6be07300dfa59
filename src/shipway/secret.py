"""Secrets: values that never print, and the references by which an app file names them."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from shipway.errors import SecretError

SCHEMES = ("env", "file")
"""Where a secret may come from; each is written `SCHEME:NAME`."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MASK = "***"


class Secret:
    """A value that must not reach a log, a terminal, a file or another process by accident.

    Everything that turns it into text gives `***`, and it refuses to be pickled. `reveal()` is the one way out, so that
    every use of the plain value can be found by that name.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def matches(self, candidate: str) -> bool:
        """Compare in a time that does not tell how much of *candidate* was right."""
        # Bytes, because compare_digest takes only ASCII as text; surrogates come from undecodable header bytes.
        ours = self._value.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(ours, candidate.encode("utf-8", "surrogatepass"))

    def __eq__(self, other: object) -> bool:
        return self.matches(other._value) if isinstance(other, Secret) else NotImplemented

    # A hash of the value, kept in some table, would be a way to test guesses.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, format_spec: str) -> str:
        return _MASK

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret is not to be pickled; pass its reference instead")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__getstate__()


@dataclass(frozen=True, slots=True)
class SecretReference:
    """The place of a secret: `env:NAME` (an environment variable) or `file:PATH` (a text file). Safe to print."""

    scheme: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `env:NAME` or `file:PATH`.

        Raises:
            ValueError: It is neither. The message leaves *text* out: it may be the secret itself.
        """
        scheme, _, name = text.partition(":")
        if scheme == "env" and _VARIABLE.fullmatch(name):
            return cls(scheme, name)
        if scheme == "file" and name.strip() and name.isprintable():
            return cls(scheme, name)
        if scheme == "env":
            raise ValueError('after "env:" comes the name of an environment variable, as in "env:OPENAI_API_KEY"')
        if scheme == "file":
            raise ValueError('after "file:" comes a path, as in "file:secrets/openai-key"')
        raise ValueError('expected a reference to a secret, "env:NAME" or "file:PATH", never the secret itself')

    def resolve(self, base_dir: Path, environ: Mapping[str, str]) -> Secret:
        """Fetch the value; a relative `file:` path starts at *base_dir*, and one newline at the file's end is dropped.

        Raises:
            SecretError: There is nothing at that place, it is empty, or it cannot be read.
        """
        value = self._from_environment(environ) if self.scheme == "env" else self._from_file(base_dir)
        if not value:
            raise SecretError(f"{self} is empty", self._hint())
        return Secret(value)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"

    def _from_environment(self, environ: Mapping[str, str]) -> str:
        try:
            return environ[self.name]
        except KeyError:
            raise SecretError(f"the environment variable {self.name} is not set", self._hint()) from None

    def _from_file(self, base_dir: Path) -> str:
        path = base_dir / self.name
        try:
            text = path.read_bytes().decode("utf-8")
        except OSError as error:
            raise SecretError(f"cannot read the secret's file {path}: {error.strerror}", self._hint()) from error
        except UnicodeDecodeError:
            # "from None": the original exception carries the bytes of the secret.
            raise SecretError(f"the secret's file {path} is not UTF-8 text") from None
        return text.removesuffix("\n").removesuffix("\r")

    def _hint(self) -> str:
        if self.scheme == "env":
            return f"export {self.name}=…"
        return f"write the secret into {self.name} and chmod 600 it"
