import pytest
from tests.agent.scripted_server import Reply, ScriptedServer, call

from onnes.agent.endpoint import Endpoint
from onnes.agent.model_order import PAGE, model_order
from onnes.crystals.known import known_table
from onnes.errors import ConfigError


def asked(steps, table, **more):
    with ScriptedServer(steps) as server:
        return model_order(Endpoint(url=server.url, model="scripted", longest_wait_s=0.0, **more))(table)


def test_rows_come_in_the_order_of_the_scores():
    table = known_table(["Al", "Nb", "Pb"])
    assert asked([call("score_rows", scores=[10, 90, 50])], table) == ["Nb", "Pb", "Al"]


def test_what_a_model_does_not_score_is_left_out():
    table = known_table(["Al", "Nb", "Pb"])
    assert asked([call("score_rows", scores="[1, 2]")], table) == ["Nb", "Al"]
    assert asked([call("score_rows", scores="many")], table) == []
    assert asked([call("other", x=1)], table) == []


def test_a_pool_goes_page_by_page():
    from onnes.crystals.known import known_names

    table = known_table(known_names()[: PAGE + 2])
    replies = [call("score_rows", scores=[1.0] * PAGE), call("score_rows", scores=[3.0, 2.0])]
    ids = table["id"].to_pylist()
    assert asked(replies, table) == [ids[PAGE], ids[PAGE + 1], *ids[:PAGE]]


def test_an_endpoint_that_fails_is_a_clear_error():
    with pytest.raises(ConfigError, match="scripted at"):
        asked([Reply(status=500)] * 2, known_table(["Al"]), tries=2)
