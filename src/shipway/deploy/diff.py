"""What differs between two releases, for people and programs. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shipway.deploy.releases import Release, flat
from shipway.secret import SCHEMES
from shipway.spec.problems import SENSITIVE_KEYS
from shipway.spec.wording import path_text


class Change(msgspec.Struct, frozen=True):
    """One thing that differs; None on the side that lacks it.

    Attributes:
        what: `services.api.replicas`, `image of api`, `secret env:KEY`…
    """

    what: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.what} = {_shown(self.after)}"
        if self.after is None:
            return f"- {self.what} = {_shown(self.before)}"
        return f"~ {self.what}: {_shown(self.before)} -> {_shown(self.after)}"


def difference(before: Release | None, after: Release) -> tuple[Change, ...]:
    """All that differs, the app file first. Values that may hold a secret are not shown, references to them are.

    Versions of secrets are compared within an environment only: across environments they tell nothing.
    """
    with_versions = before is None or before.environment == after.environment
    old = _facts(before, with_versions=with_versions) if before else {}
    new = _facts(after, with_versions=with_versions)
    return tuple(
        Change(_what(fact), _showable(fact, old.get(fact)), _showable(fact, new.get(fact)))
        for fact in sorted({**old, **new}, key=_group)
        if old.get(fact) != new.get(fact)
    )


_Fact = tuple[str, ...]
"""The place of a setting in the app file, or one of our own words for what else there is."""


_GROUPS = ("image", "secret", "weights")


def _group(fact: _Fact) -> int:
    """Settings come first, in the order of the app file; then what else there is, by kind."""
    return 1 + _GROUPS.index(fact[0].partition(" ")[0]) if _is_no_setting(fact) else 0


def _is_no_setting(fact: _Fact) -> bool:
    return len(fact) == 1 and " " in fact[0]


def _facts(release: Release, *, with_versions: bool) -> Mapping[_Fact, Any]:
    return {
        **flat(release.resolved),
        **{("image of " + name,): image.reference for name, image in release.images.services.items()},
        ("image of the gateway",): release.images.gateway.reference,
        **{
            ("secret " + reference,): f"version {version}" if with_versions else "set"
            for reference, version in release.secrets.items()
        },
        **{("weights of " + model,): digest for model, digest in release.weights.items()},
    }


def _what(fact: _Fact) -> str:
    return fact[0] if _is_no_setting(fact) else path_text(fact)


def _showable(fact: _Fact, value: Any) -> Any:
    is_reference = isinstance(value, str) and value.startswith(tuple(f"{scheme}:" for scheme in SCHEMES))
    return value if value is None or is_reference or SENSITIVE_KEYS.isdisjoint(fact) else "(not shown)"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and " " in value else msgspec.json.encode(value).decode()
