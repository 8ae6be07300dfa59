"""No field that the SDKs document is lost in silence on its way to another dialect."""

import re

import pytest

from shipway.gateway.refusals import Refused
from tests.integration.matrix.documented import APIS, Told, about, fields_of, plain, tell, verdict
from tests.integration.matrix.unsaid import WHY, why


@pytest.mark.parametrize("name", APIS)
def test_every_documented_field_is_told_or_refused_by_its_name_or_listed(name: str) -> None:
    api = APIS[name]
    lost, misnamed = [], []
    for field in fields_of(api):
        for target_name, target in api.targets.items():
            found = verdict(field, target)
            lost += [(field.path, target_name, value) for value in found.silent if why(field.path, value) is None]
            names = [named for _, named in found.refused if not about(named, field.plain)]
            misnamed += [(field.path, target_name, named) for named in names]
    assert (lost, misnamed) == ([], [])


@pytest.mark.parametrize("name", APIS)
def test_what_cannot_be_told_may_be_dropped_by_the_name_that_the_refusal_gives(name: str) -> None:
    api = APIS[name]
    kept = []
    for field in fields_of(api):
        for target_name, target in api.targets.items():
            for _, request in field.requests:
                allowed: list[str] = []
                told = tell(target, request)
                while isinstance(told, Refused) and "cannot be told" in told.refusal.message:
                    path = plain(told.refusal.param or "")
                    if path in allowed:
                        kept.append((field.path, target_name, path))
                        break
                    allowed.append(path)
                    told = tell(target, request, allowed)
                if isinstance(told, Told) and not {plain(path) for path in told.dropped} >= set(allowed):
                    kept.append((field.path, target_name, "is not listed"))
    assert kept == []


def test_every_reason_why_a_value_need_not_be_told_is_needed() -> None:
    silent = {
        (field.path, str(value))
        for api in APIS.values()
        for field in fields_of(api)
        for target in api.targets.values()
        for value in verdict(field, target).silent
    }
    needed = {
        pattern
        for cases in WHY.values()
        for pattern, values in cases.items()
        if any(re.fullmatch(pattern, path) and re.fullmatch(values, value) for path, value in silent)
    }
    assert needed == {pattern for cases in WHY.values() for pattern in cases}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("chat completions", "messages[]<user>.content[]<image_url>.image_url.detail"),
        ("responses", "input[]<message>.content[]<input_image>.detail"),
        ("responses", "input[]<function_call_output>.output[]<input_image>.detail"),
        ("messages", "messages[]<user>.content[]<tool_result>.content[]<image>.cache_control"),
        ("messages", "tools[].input_schema"),
        ("embeddings", "dimensions"),
    ],
)
def test_fields_deep_inside_are_tried(name: str, path: str) -> None:
    assert path in [field.path for field in fields_of(APIS[name])]
