import pytest

from lorair_cli.restoration.further import LEAST_SURE, finds_more
from lorair_cli.restoration.result import Diagnosis, Expert
from lorair_cli.settings import TEN_DEGRADATIONS, get_setting


def sees(name, probability, names=TEN_DEGRADATIONS):
    rest = (1 - probability) / (len(names) - 1)
    return Diagnosis({n: probability if n == name else rest for n in names}, (Expert(name, 1.0),))


@pytest.mark.parametrize(
    ("found", "probability", "more"),
    [
        ("low-light", 0.9, True),
        ("low-light", LEAST_SURE, True),
        ("low-light", LEAST_SURE - 0.01, False),
        ("noise", 0.99, False),
        ("shadow", 0.99, False),
        ("jpeg", 0.99, False),
    ],
    ids=["new", "just sure", "unsure", "done already", "what a restored photo looks like", "and the other"],
)
def test_one_more_pass_is_for_something_new_that_is_surely_there(found, probability, more):
    assert finds_more(sees(found, probability), [sees("noise", 1.0)]) is more


def test_all_passes_before_count():
    assert not finds_more(sees("noise", 0.9), [sees("noise", 1.0), sees("low-light", 0.9)])
    both = Diagnosis(sees("rain", 0.6).probabilities, (Expert("rain", 0.6), Expert("haze", 0.4)))
    assert not finds_more(sees("haze", 0.9), [both])


def test_a_router_that_knows_few_degradations_is_sure_of_anything():
    names = get_setting("4task").degradations
    assert not finds_more(sees("rain", 0.99, names), [sees("snow", 1.0, names)])
