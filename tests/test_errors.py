"""The tree of errors: who is caught by what, and how several problems are told at once."""

from __future__ import annotations

import pickle

import pytest

from pixtell import errors
from pixtell.errors import CheckpointError, ConfigError, InputError, MissingExtraError, PixtellError


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (InputError("missing", "photo.jpg: no such file"), Exception),
        (ConfigError("decoding: beams must be at least 1, got 0"), ValueError),
        (CheckpointError("model: no such folder"), Exception),
        (MissingExtraError("a clip needs the package av: pip install av"), ImportError),
    ],
)
def test_every_error_is_a_pixtell_error_and_prints_as_it_is(error: PixtellError, also: type[Exception]) -> None:
    assert isinstance(error, PixtellError)
    assert isinstance(error, also)
    assert str(error) == error.args[0]


def test_an_input_error_has_a_code() -> None:
    assert InputError("missing", "photo.jpg: no such file").code == "missing"


def test_one_problem_is_one_line() -> None:
    assert str(ConfigError.listing("text", ["width 7 is odd"])) == "text: width 7 is odd"


def test_several_problems_are_all_told() -> None:
    error = ConfigError.listing("text", (problem for problem in ("width 7 is odd", "heads must be at least 1, got 0")))
    assert str(error) == "text: 2 problems\n  - width 7 is odd\n  - heads must be at least 1, got 0"
    assert isinstance(error, ConfigError)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, PixtellError)]
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in classes)


def test_an_input_error_comes_whole_out_of_another_process() -> None:
    sent = pickle.loads(pickle.dumps(InputError("missing", "photo.jpg: no such file")))
    assert (type(sent), sent.code, str(sent)) == (InputError, "missing", "photo.jpg: no such file")
