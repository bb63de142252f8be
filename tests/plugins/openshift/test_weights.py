"""Weights of endpoints: openshift-routes.md 8.5."""

import pytest
from edged_plugins.openshift.weights import endpoint_weights


@pytest.mark.parametrize(("weights", "counts", "expected"), [
    ({"a": 20, "b": 10}, {"a": 2, "b": 4}, {"a": 256, "b": 64}),
    ({"a": 100}, {"a": 3}, {"a": 1}),
    ({"a": 100}, {}, {}),
    ({"a": 100, "b": 50}, {"a": 2}, {"a": 1}),
    ({"a": 100, "b": 0}, {"a": 2, "b": 2}, {"a": 1, "b": 0}),
    ({"a": 0, "b": 0}, {"a": 1, "b": 1}, {"a": 0, "b": 0}),
    ({"a": 256, "b": 1}, {"a": 1, "b": 100}, {"a": 256, "b": 1}),
    ({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 256, "b": 128, "c": 85}),
    ({"a": 10, "b": 30}, {"a": 3, "b": 7}, {"a": 199, "b": 256}),
])
def test_weights(weights: dict[str, int], counts: dict[str, int], expected: dict[str, int]) -> None:
    assert endpoint_weights(weights, counts) == expected
