"""What must hold between sections."""

from collections.abc import Callable

import pytest

from shipway.spec.checks import covers


def _services(**routes: str) -> str:
    return 'name = "a"\n' + "".join(
        f'[services.{name}]\napp = "a:b"\nroutes = {value}\n' for name, value in routes.items()
    )


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ('["/a", "/a/b"]', ['services.x.routes[1]: route "/a/b" is already covered by "/a" of the same service']),
        ('["/b", "/"]', ['services.x.routes[0]: route "/b" is already covered by "/" of the same service']),
        ('["/a", "/a/"]', ['services.x.routes[1]: route "/a" is listed twice']),
        ('["/a", "/ab"]', []),
        ('["/", { path = "/open", public = true }]', []),
        ('["/", { path = "/open", public = true }, "/open/closed"]', []),
        (
            '["/", { path = "/open", public = true }, { path = "/open/x", public = true }]',
            ['services.x.routes[2]: route "/open/x" is already covered by "/open" of the same service'],
        ),
        ('["/v1"]', ['services.x.routes[0]: route "/v1" is taken: the gateway answers "/v1" itself']),
        ('["/v1/chat"]', ['services.x.routes[0]: route "/v1/chat" is taken: the gateway answers "/v1" itself']),
        ('["/healthz"]', ['services.x.routes[0]: route "/healthz" is taken: the gateway answers "/healthz" itself']),
        ('["/readyz/"]', ['services.x.routes[0]: route "/readyz" is taken: the gateway answers "/readyz" itself']),
        ('["/v1beta"]', []),
    ],
)
def test_routes_of_one_service_do_not_overlap_in_vain(
    problems: Callable[..., list[str]], routes: str, expected: list[str]
) -> None:
    assert problems(_services(x=routes)) == expected


def test_two_services_cannot_share_a_route(problems: Callable[..., list[str]]) -> None:
    assert problems(_services(x='["/a"]', y='["/a/"]', z='["/a/b"]')) == [
        'services.y.routes[0]: route "/a" belongs to both "x" and "y"'
    ]


def test_two_services_without_routes_share_the_default_route(problems: Callable[..., list[str]]) -> None:
    text = 'name = "a"\n[services.x]\napp = "a:b"\n[services.y]\napp = "a:b"\n'
    assert problems(text) == ['services.y: route "/" belongs to both "x" and "y"']


def test_an_unknown_provider_names_the_nearest(problems: Callable[..., list[str]]) -> None:
    assert problems('name = "a"\n[models.chat]\nupstreams = ["local/a", "openai/b", "opnai/gpt-5-mini"]\n') == [
        'models.chat.upstreams[2]: unknown provider "opnai" (did you mean "openai"?)'
    ]


def test_an_upstream_of_an_invalid_provider_is_no_second_problem(problems: Callable[..., list[str]]) -> None:
    text = 'name = "a"\n[providers.x]\nkind = "nope"\n[models.m]\nupstreams = ["x/a"]\n'
    assert [problem.partition(":")[0] for problem in problems(text)] == ["providers.x.kind"]


def test_wrong_entries_do_not_hide_wrong_names(problems: Callable[..., list[str]]) -> None:
    text = 'name = "a"\n[models.m]\nupstreams = [{ model = "local/a", weight = 0 }, "opnai/b"]\n'
    assert problems(text) == [
        "models.m.upstreams[0].weight: expected more than 0, found 0",
        'models.m.upstreams[1]: unknown provider "opnai" (did you mean "openai"?)',
    ]


def test_upstreams_of_releases_are_checked_too(problems: Callable[..., list[str]]) -> None:
    text = """
        name = "a"
        [models.chat.releases]
        v1 = { upstreams = ["local/a"] }
        v2 = { upstreams = ["opnai/a", "local/a", "local/a"], weight = "x" }
        "v2.1" = { upstreams = ["locl/a"] }
        v3 = 3
    """
    assert problems(text) == [
        'models.chat.releases.v2.upstreams[0]: unknown provider "opnai" (did you mean "openai"?)',
        'models.chat.releases.v2.upstreams[2]: upstream "local/a" is listed twice',
        'models.chat.releases.v2.weight: expected a number, found "x"',
        'models.chat.releases."v2.1".upstreams[0]: unknown provider "locl" (did you mean "local"?)',
        "models.chat.releases.v3: expected a table, found a whole number",
    ]


def test_a_service_given_by_releases_has_the_default_route(problems: Callable[..., list[str]]) -> None:
    text = 'name = "a"\n[services.x]\napp = "a:b"\n[services.y.releases]\nv1 = { url = "http://y" }\n'
    assert problems(text) == ['services.y: route "/" belongs to both "x" and "y"']


def test_an_upstream_is_listed_once(problems: Callable[..., list[str]]) -> None:
    text = 'name = "a"\n[models.m]\nupstreams = ["local/a", { model = "local/a", weight = 1 }]\n'
    assert problems(text) == ['models.m.upstreams[1]: upstream "local/a" is listed twice']


def test_an_example_is_under_a_route_of_its_service(problems: Callable[..., list[str]]) -> None:
    text = _services(x='["/a"]')
    assert problems(text + 'example = "/a/b?c=1"\n') == []
    assert len(problems(text.replace('["/a"]', "[]") + 'example = "/a"\n')) == 1
    assert problems(text + 'example = "/b?c=1"\n') == [
        'services.x.example: example "/b" is under none of the service\'s routes'
    ]


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [("/", "/x", True), ("/a", "/a", True), ("/a", "/a/b", True), ("/a", "/ab", False), ("/a/b", "/a", False)],
)
def test_a_prefix_covers_whole_segments(prefix: str, path: str, expected: bool) -> None:
    assert covers(prefix, path) is expected


@pytest.mark.parametrize("name", ["gpt-4.1", "meta/llama-3:8b", "GPT_4o"])
def test_model_may_have_the_name_that_clients_already_use(problems: Callable[..., list[str]], name: str) -> None:
    assert problems(f'name = "a"\n[models."{name}"]\nupstreams = ["local/m"]\n') == []


GUARDED = 'name = "a"\n[models.chat]\nupstreams = ["local/a"]\nguards = {}\n[guards.words]\ncall = "a:b"\n'


@pytest.mark.parametrize(
    ("guards", "expected"),
    [
        ('["words"]', []),
        ('[{ name = "words", when = "after" }]', []),
        ('["word"]', ['models.chat.guards[0]: unknown guard "word" (did you mean "words"?)']),
        ('["words", "words"]', ['models.chat.guards[1]: guard "words" is listed twice']),
        (
            '[{ name = "words", when = "now" }]',
            ['models.chat.guards[0].when: expected "before", "after" or "both", found "now"'],
        ),
    ],
)
def test_guards_of_a_model_are_declared(problems: Callable[..., list[str]], guards: str, expected: list[str]) -> None:
    assert problems(GUARDED.replace("{}", guards)) == expected


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        ("", 'guards.words: needs one of "call" or "url"'),
        (
            'call = "a:b"\nurl = "http://a"',
            'guards.words: has "call" and "url"; a guard has exactly one of "call" or "url"',
        ),
        ('call = "a"', 'guards.words.call: expected an import string such as "package.module:app", found "a"'),
        (
            'call = "a:b"\nheaders = { X = "y" }',
            'guards.words: "headers" has no meaning for a guard that is given by "call"',
        ),
        (
            'call = "a:b"\nreasons = ["A b"]',
            "guards.words.reasons[0]: expected a reason of lowercase letters, digits and _, a "
            'letter first, found "A b"',
        ),
        ('call = "a:b"\nwindow = 0', "guards.words.window: expected at least 1, found 0"),
    ],
)
def test_a_guard_is_a_function_or_an_endpoint(problems: Callable[..., list[str]], guard: str, expected: str) -> None:
    assert problems(GUARDED.replace("{}", "[]").replace('call = "a:b"', guard)) == [expected]
