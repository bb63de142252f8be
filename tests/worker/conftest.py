import pytest

from tests.scenarios.harness.authority import Authority


@pytest.fixture(scope="session")
def authority():
    return Authority()
