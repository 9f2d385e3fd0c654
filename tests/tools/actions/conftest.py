import pytest

from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.tools.call import call_tool
from onnes.tools.study_input import bring_in


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", seed=7)


@pytest.fixture
def known(study):
    """Set with four known crystals."""
    return bring_in(study, known_table(["Nb", "NbN", "Nb3Sn", "NaCl"])).set_id


@pytest.fixture
def call(study):
    """Call a tool; a result that makes a set brings its table along."""

    def run(name, **arguments):
        return call_tool(study, name, arguments)

    return run


@pytest.fixture
def table(study):
    return lambda result: study.table(result.set_id)
