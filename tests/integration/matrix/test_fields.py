"""Fields that a provider cannot be told are refused by their name, or dropped and listed where the app file allows it."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.matrix.asks import Ask
from tests.integration.matrix.callers import CALLERS
from tests.integration.matrix.fields import FIELDS
from tests.integration.matrix.places import PLACES
from tests.integration.matrix.running import KEY, setting

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("speaker", "field_name"), [(caller, name) for caller, fields in FIELDS.items() for name in fields]
)
async def test_field(speaker: str, field_name: str, place_name: str, tmp_path: Path) -> None:
    field, caller, place = FIELDS[speaker][field_name], CALLERS[speaker], PLACES[place_name]
    arguments: dict[str, Any] = {"model": "m", **caller.arguments(Ask()), **field.sends}
    async with setting(place, tmp_path) as here:
        if place_name not in field.refused:
            heard = await caller.call(here.url, KEY, arguments, True)
            assert (heard.text, heard.fields.get("x-shipway-dropped")) == ("This is a fake answer.", None)
            return
        with pytest.raises(caller.errors["bad request"][0]) as caught:
            await caller.call(here.url, KEY, arguments, True)
        assert repr(field.name) in str(caught.value)
        assert getattr(caught.value, "param", field.name) == field.name
        assert here.fake.requests == []
    if not field.may_drop:
        return
    async with setting(place, tmp_path, may_drop=[field.path]) as here:
        for stream in (False, True):
            heard = await caller.call(here.url, KEY, arguments, stream)
            assert (heard.text, heard.fields.get("x-shipway-dropped")) == ("This is a fake answer.", field.path)
