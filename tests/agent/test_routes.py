import pytest
from tests.agent.studies import small_study

from onnes.agent.claims import unsupported
from onnes.agent.goal import Goal
from onnes.agent.routes import ROUTES, route
from onnes.errors import ConfigError
from onnes.propose.motifs import motif_names
from onnes.tools.call import SetResult


class Told:
    """Stands for a walk: keeps what is said of every call."""

    def __init__(self, study):
        self.study, self.said, self.arguments = study, [], []

    def call(self, name, why, **arguments):
        self.said.append(f"{name}: {why}")
        self.arguments.append(arguments)
        return SetResult(set_id=self.study[1], tool=name)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return small_study(tmp_path_factory.mktemp("routes") / "s")


@pytest.mark.parametrize("motif", motif_names())
def test_what_is_said_of_a_motif_holds_no_number(study, motif):
    told = Told(study)
    ROUTES["motif"].candidates(told, Goal(motif=motif, elements=("Nb", "Sn")))
    assert told.arguments[0]["motif"] == motif
    assert unsupported(study[0], " ".join(told.said)) == []


@pytest.mark.parametrize("formula", ["SnNb3", "Zr4VRe7", "La1.85Sr0.15CuO4"])
def test_what_is_said_of_a_composition_holds_no_number(study, formula):
    told = Told(study)
    ROUTES["reinterpretation"].candidates(told, Goal(formulas=(formula,)))
    assert told.arguments[0]["formula"] == formula
    assert unsupported(study[0], " ".join(told.said)) == []


@pytest.mark.parametrize("name", ["rediscovery", "motif", "de-novo", "latent"])
def test_elements_are_needed(study, name):
    with pytest.raises(ConfigError, match="needs elements"):
        route(Goal(route=name)).candidates(_Empty(study), Goal(route=name))


class _Empty(Told):
    class session:  # noqa: N801 - stands for an attribute
        class study:  # noqa: N801
            @staticmethod
            def sets():
                return []
