"""The official Azure client against `analyze`, over HTTP."""

import asyncio

import pytest
from azure.ai.contentsafety import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from classifier_doubles import Keywords
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from http_server import http_server
from speciale.safety.analyze import analyze
from speciale.safety.filter import ContentFilter
from speciale.safety.policy import read_policy

POLICY = {
    "blocklists": [{"name": "birds", "phrases": ["heron"]}, {"name": "fish", "phrases": ["carp"]}]
}


def answer(body, policy=POLICY, classifiers=None):
    async def run():
        content_filter = ContentFilter(read_policy(policy), classifiers or Keywords())
        try:
            return await analyze(body, content_filter)
        finally:
            await content_filter.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def client():
    content_filter = ContentFilter(read_policy(POLICY), Keywords())

    async def route(request):
        status, body = await analyze(await request.json(), content_filter)
        return JSONResponse(body, status)

    app = Starlette(routes=[Route("/contentsafety/text:analyze", route, methods=["POST"])])
    with http_server(app) as url, ContentSafetyClient(url, AzureKeyCredential("any")) as client:
        yield client
    asyncio.run(content_filter.close())


def severities(result):
    return {item.category: item.severity for item in result.categories_analysis}


def test_the_official_client_gets_severities(client):
    result = client.analyze_text(AnalyzeTextOptions(text="a very stab, a mild slur"))
    assert severities(result) == {"Hate": 2, "SelfHarm": 0, "Sexual": 0, "Violence": 6}
    assert result.blocklists_match == []


def test_the_official_client_chooses_categories_and_scale(client):
    options = AnalyzeTextOptions(
        text="stab", categories=["Violence", "Hate"], output_type="EightSeverityLevels"
    )
    assert severities(client.analyze_text(options)) == {"Violence": 4, "Hate": 0}


def test_the_official_client_matches_block_lists(client):
    options = AnalyzeTextOptions(text="A HER0N, a carp", blocklist_names=["birds"])
    result = client.analyze_text(options)
    (match,) = result.blocklists_match
    assert (match.blocklist_name, match.blocklist_item_text) == ("birds", "heron")
    assert match.blocklist_item_id and len(severities(result)) == 4
    options.halt_on_blocklist_hit = True
    result = client.analyze_text(options)
    assert result.blocklists_match and not result.categories_analysis


def test_the_official_client_gets_azures_errors(client):
    with pytest.raises(HttpResponseError) as caught:
        client.analyze_text(AnalyzeTextOptions(text="x" * 10_001))
    assert caught.value.status_code == 400 and caught.value.error.code == "InvalidRequestBody"
    with pytest.raises(HttpResponseError) as caught:
        client.analyze_text(AnalyzeTextOptions(text="x", blocklist_names=["cats"]))
    assert caught.value.status_code == 404 and "cats" in caught.value.error.message
    client.analyze_text(AnalyzeTextOptions(text="x" * 10_000))


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"text": None}, {"text": 3}, {"text": "a", "categories": ["Rage"]},
        {"text": "a", "blocklistNames": "birds"}, {"text": "a", "haltOnBlocklistHit": "yes"},
        {"text": "a", "outputType": "ThreeSeverityLevels"},
    ],
)  # fmt: skip
def test_what_is_malformed_is_a_400(body):
    status, found = answer(body)
    assert status == 400
    assert set(found) == {"error"} and found["error"]["code"] == "InvalidRequestBody"


def test_classifiers_out_of_order_are_a_503_that_tells_nothing():
    status, found = answer({"text": "a"}, classifiers=Keywords(error=RuntimeError("secret")))
    assert status == 503 and found["error"]["code"] == "ServerBusy"
    assert "secret" not in str(found)


def test_without_classifiers_nothing_is_called_safe():
    async def run():
        content_filter = ContentFilter(read_policy({**POLICY, "classifier": "none"}))
        found = await analyze({"text": "a very stab", "blocklistNames": ["birds"]}, content_filter)
        await content_filter.close()
        return found

    assert asyncio.run(run()) == (200, {"blocklistsMatch": [], "categoriesAnalysis": []})
