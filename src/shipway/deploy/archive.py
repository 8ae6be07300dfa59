"""The records of releases, and where each environment stands."""

from collections.abc import Mapping

import msgspec

from shipway.deploy import records
from shipway.deploy.releases import Release, release_name
from shipway.deploy.state import Store
from shipway.errors import ConflictError, StateError, UnknownReleaseError


class Standing(msgspec.Struct, frozen=True):
    """Where an environment is.

    Attributes:
        current: The release that serves.
        retained: Those that can be returned to without a build, the current one too, rising.
        left: Those of them that were left for an earlier one, and have not served since: not what anybody wants back.
    """

    current: int | None = None
    retained: tuple[int, ...] = ()
    left: tuple[int, ...] = ()

    @property
    def previous(self) -> int | None:
        """What a rollback without a name goes to: the nearest older one that is kept and was not left itself."""
        older = (number for number in self.retained if self.current is not None and number < self.current)
        return max((number for number in older if number not in self.left), default=None)

    def moved(self, release: int | None, retained: tuple[int, ...]) -> "Standing":
        """Where it is once *release* serves."""
        left = {*self.left}
        if self.current is not None and release is not None and release < self.current:
            left.add(self.current)
        return Standing(release, retained, tuple(sorted((left - {release}) & {*retained})))


class _Last(msgspec.Struct, frozen=True):
    number: int


class Archive:
    """All records of one app in *store*."""

    def __init__(self, store: Store, app: str) -> None:
        self._store = store
        self._app = app

    def folder(self, environment: str) -> str:
        """Where in the store an environment's own records are."""
        return f"{self._app}/environments/{environment}"

    def next_number(self) -> int:
        """The number that `claim_number` would give now."""
        found = records.read(self._store, f"{self._app}/last", _Last)
        return (found.value.number if found else 0) + 1

    def claim_number(self) -> int:
        """The next free number, which from now on is taken, whatever becomes of the release."""
        while True:
            number = self.next_number()
            if self._raise_to(number):
                return number

    def take_number(self, number: int) -> None:
        """Note that *number* is in use, so that `claim_number` gives only later ones. A promoted release brings it along."""
        while number >= self.next_number():
            self._raise_to(number)

    def _raise_to(self, number: int) -> bool:
        """Note *number* as the last one. False when somebody else noted it, or a later one, first."""
        found = records.read(self._store, f"{self._app}/last", _Last)
        if found is not None and found.value.number >= number:
            return False
        try:
            records.write(self._store, f"{self._app}/last", _Last(number), found.version if found else None)
        except ConflictError:
            return False
        return True

    def add(self, release: Release) -> None:
        """Keep the record of *release*; the same one may be added twice. Raises: StateError."""
        key = self._key(release.number, release.environment)
        try:
            records.write(self._store, key, release, None)
        except ConflictError:
            kept = self.get(release.number, release.environment)
            if not kept.is_same_as(release):
                raise StateError(
                    f"{release.name} of {release.environment} is kept already and is another release",
                    f"shipway releases {release.environment}",
                ) from None

    def get(self, number: int, environment: str) -> Release:
        """The record of a release. Raises: UnknownReleaseError, StateError."""
        found = records.read(self._store, self._key(number, environment), Release)
        if found is None:
            raise UnknownReleaseError(
                f"release {release_name(number)} is not in environment {environment}", f"shipway releases {environment}"
            )
        return found.value

    def all(self, environment: str) -> Mapping[int, Release]:
        """The records of an environment by number, rising."""
        folder = f"{self._app}/releases"
        numbers = {int(key.split("/")[2]) for key in self._store.keys(folder) if key.endswith(f"/{environment}")}
        return {number: self.get(number, environment) for number in sorted(numbers)}

    def standing(self, environment: str) -> Standing:
        found = records.read(self._store, f"{self.folder(environment)}/standing", Standing)
        return found.value if found else Standing()

    def stand(self, environment: str, standing: Standing) -> None:
        """Note where *environment* is; only the holder of its lease does."""
        key = f"{self.folder(environment)}/standing"
        found = records.read(self._store, key, Standing)
        records.write(self._store, key, standing, found.version if found else None)

    def _key(self, number: int, environment: str) -> str:
        return f"{self._app}/releases/{number:06d}/{environment}"
