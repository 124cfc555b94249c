import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorair_cli.errors import UsageError
from lorair_cli.restoration.choices import Choices, parse_experts, parse_passes


@pytest.mark.parametrize(
    "text, experts",
    [
        ("haze=0.7,noise=0.3", {"haze": 0.7, "noise": 0.3}),
        (" low-light = 1 ", {"low-light": 1.0}),
        ("haze", {"haze": 1.0}),
    ],
)
def test_experts_as_typed(text, experts):
    assert parse_experts(text) == experts
    assert Choices(experts=parse_experts(text)).experts == experts


@pytest.mark.parametrize("text", ["", ",", "haze=", "=0.5", "haze=0.5=0.5", "haze=:0.5", "haze=much", "haze,haze=0.1"])
def test_what_names_no_experts(text):
    with pytest.raises(UsageError):
        parse_experts(text)


@pytest.mark.parametrize(
    "values",
    [
        {"strength": -0.1},
        {"strength": math.nan},
        {"only_if": 1.1},
        {"only_if": math.nan},
        {"passes": 0},
        {"passes": 9},
        {"experts": {}},
        {"experts": {"haze": 0.0}},
        {"experts": {"haze": -1.0}},
        {"experts": {"haze": math.nan}},
        {"experts": {"haze": math.inf}},
        {"experts": {"haze": 0.7, "noise": 0.4}},
    ],
)
def test_values_out_of_range(values):
    with pytest.raises(UsageError):
        Choices(**values)


def test_passes_are_a_number_or_the_programs_business():
    assert parse_passes("auto") is None and parse_passes("3") == 3
    for text in ("", "two", "1.5", "Auto"):
        with pytest.raises(UsageError, match="no number of passes"):
            parse_passes(text)


@given(st.text(alphabet="abz-=,. 0159eEnaif", max_size=24))
def test_any_text_is_experts_or_a_users_error(text):
    try:
        experts = parse_experts(text)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert experts and all(experts)
