"""Objects of kind Route, as OpenShift's router serves them."""

from collections.abc import Mapping, Sequence
from typing import Any

from edged.hooks import Kind, hookimpl


@hookimpl
def edged_kinds(settings: Mapping[str, Any]) -> Sequence[Kind]:
    from .kind import RouteKind

    return (RouteKind(settings.get("router", {}), settings.get("defaults", {})),)
