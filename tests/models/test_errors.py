import pytest

from models.errors import ModelError, NonFiniteLoss, NotBuildable, OutOfMemory


@pytest.mark.parametrize("kind", [NotBuildable, NonFiniteLoss, OutOfMemory])
def test_one_clause_catches_every_failure_of_a_model(kind):
    with pytest.raises(ModelError, match="one line"):
        raise kind("one line")


def test_a_model_error_is_a_value_error():
    assert issubclass(ModelError, ValueError)
