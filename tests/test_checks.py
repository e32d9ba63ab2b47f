"""Names and profiles: the right one passes, the wrong one is answered with the nearest."""

import pytest

from dclib.checks import check_widths, one_of
from dclib.profiles import by_profile, profile


def test_one_of_returns_what_is_there():
    assert one_of("mnist", ["mnist", "usps"], "data set") == "mnist"


@pytest.mark.parametrize(("value", "near"), [("mnits", "mnist"), ("MNIST", "mnist"), ("ups", "usps")])
def test_one_of_names_the_value_the_options_and_the_nearest(value, near):
    with pytest.raises(ValueError, match=f"unknown data set {value!r}.*{near!r}.*mnist, usps"):
        one_of(value, ["mnist", "usps"], "data set")


def test_one_of_makes_no_wild_guess():
    with pytest.raises(ValueError) as caught:
        one_of("zzzzz", ["mnist", "usps"], "data set")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("hidden", [(0,), (8, -1), (8, 2.5), ("8",)])
def test_widths_are_whole_and_positive(hidden):
    with pytest.raises(ValueError, match=r"hidden\[\d\]"):
        check_widths(hidden)


def test_profile_comes_from_the_environment_and_defaults_to_book(monkeypatch):
    monkeypatch.delenv("DCLIB_PROFILE", raising=False)
    assert profile() == "book"
    monkeypatch.setenv("DCLIB_PROFILE", "quick")
    assert profile() == "quick" and profile("full") == "full"
    assert by_profile(quick=1, book=2, full=3) == 1


def test_an_unknown_profile_is_answered_with_the_nearest(monkeypatch):
    monkeypatch.setenv("DCLIB_PROFILE", "fulll")
    with pytest.raises(ValueError, match="'fulll'.*'full'"):
        profile()
