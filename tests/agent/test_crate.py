import json

import pytest
from tests.agent.studies import small_study

from onnes.agent.answer import ANSWER, publish
from onnes.agent.crate import write_crate
from onnes.agent.session import Session
from onnes.campaign.study import GOAL
from onnes.errors import EvidenceError


@pytest.fixture
def answered(tmp_path):
    study, one = small_study(tmp_path / "s")
    session = Session(study)
    session.record.append("run", {"goal": json.loads((study.folder / GOAL).read_text())})
    session.brought(study.info(one))
    publish(session, f"Tc: [[{one}/Nb/tc_K]]")
    return study, one


def root(folder):
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    return next(one for one in graph if one["@id"] == "./")


def test_a_crate_has_the_licence_that_its_owner_gives_and_no_other(answered, tmp_path):
    study, _ = answered
    assert "license" not in root(write_crate(study, tmp_path / "a"))
    address = "https://creativecommons.org/publicdomain/zero/1.0/"
    assert address in json.dumps(root(write_crate(study, tmp_path / "b", licence=address))["license"])


@pytest.mark.parametrize("name", ["record.jsonl", ANSWER, GOAL, "sets/{}.json", "sets/{}.parquet"])
def test_a_study_that_was_changed_is_not_exported(answered, tmp_path, name):
    study, one = answered
    path = study.folder / name.format(one)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match="is not exported"):
        write_crate(study, tmp_path / "crate")
    assert not (tmp_path / "crate").exists()
