"""Claims about which handler a path finds."""

from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bridge.web.server.routing import RoutedHandler, Router

PATHS = ("/", "/things", "/things/{name}", "/things/{name}/parts/{part}", "/things/all")


def handler_of(path: str) -> RoutedHandler:
    async def handler(_: web.Request, __: Mapping[str, str]) -> web.StreamResponse:
        return web.Response(text=path)

    return handler


@pytest.fixture
def router() -> Router:
    router = Router()
    for path in PATHS:
        router.add("GET", path, handler_of(path))
    router.add("POST", "/things", handler_of("a new one"))
    return router


async def found(router: Router, target: str, method: str = "GET") -> tuple[str | None, Mapping[str, str]]:
    request = make_mocked_request(method, target)
    handler, names = router.find(method, request.rel_url.path_safe)
    response = await handler(request, names)
    assert isinstance(response, web.Response)
    return response.text, names


@pytest.mark.parametrize(
    "target,path,names",
    [
        ("/", "/", {}),
        ("/things", "/things", {}),
        ("/things?name=1", "/things", {}),
        ("/t%68ings", "/things", {}),
        ("/things/a", "/things/{name}", {"name": "a"}),
        ("/things/all", "/things/all", {}),
        ("/things/a%2Fb", "/things/{name}", {"name": "a/b"}),
        ("/things/100%25", "/things/{name}", {"name": "100%"}),
        ("/things/%252F", "/things/{name}", {"name": "%2F"}),
        ("/things/%C3%A9", "/things/{name}", {"name": "é"}),
        ("/things/a/parts/b", "/things/{name}/parts/{part}", {"name": "a", "part": "b"}),
    ],
)
async def test_a_path_finds_its_template_and_what_stands_in_its_places(
    router: Router, target: str, path: str, names: Mapping[str, str]
) -> None:
    assert await found(router, target) == (path, names)


async def test_each_method_of_a_path_has_its_handler_and_head_that_of_get(router: Router) -> None:
    assert (await found(router, "/things", "POST"))[0] == "a new one"
    assert (await found(router, "/things", "HEAD"))[0] == "/things"


@pytest.mark.parametrize(
    "target", ["/thing", "/things/", "//things", "/things/{name}", "/things/a/parts", "/things/a/", "*"]
)
def test_what_is_no_path_of_the_table_is_not_found(router: Router, target: str) -> None:
    with pytest.raises(web.HTTPNotFound):
        router.find("GET", target)


def test_another_method_is_told_which_there_are(router: Router) -> None:
    with pytest.raises(web.HTTPMethodNotAllowed) as raised:
        router.find("PUT", "/things")
    assert raised.value.headers["Allow"] == "GET,HEAD,POST"


@pytest.mark.parametrize(
    "method,path", [("GET", "/things"), ("HEAD", "/things"), ("GET", "/things/{other}/owner")]
)
def test_a_table_that_says_two_things_of_one_path_is_refused(router: Router, method: str, path: str) -> None:
    with pytest.raises(ValueError, match="two"):
        router.add(method, path, handler_of(path))
