import pytest

from tests.scenarios.harness.authority import Authority


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture(scope="session")
def other():
    """An authority that nobody was told to trust."""
    return Authority("other")


@pytest.fixture(scope="session")
def site(authority):
    return authority.issue("site", ["site.example"])


@pytest.fixture(scope="session")
def rsa_site(authority):
    return authority.issue("site", ["site.example"], sort="rsa")
