"""Reads settings and routes as the daemon would, without one: every problem, for `edged check` and `edged explain`."""

import trio

from edged.control.admit import Admission
from edged.control.certificates import Certificates, Picture
from edged.control.intake import Intake
from edged.control.process import offers
from edged.hooks import Problem, Publish, Snapshot, SourceError
from edged.hooks.fence import PluginFailed, fence
from edged.hooks.manager import OfferedSource, load_plugins
from edged.model.state import State
from edged.settings import InvalidSettings, Settings
from edged.tls.contexts import ContextError, first_crls, server_context
from edged.tls.operator import OperatorCertificates

__all__ = ["admission", "operator", "picture", "problems"]

_WAIT_MOST_S = 30.0


def problems(settings: Settings) -> list[Problem]:
    """Everything that keeps an object from being served as written: bad fields, lost claims, names that lead nowhere."""
    given, found = operator(settings)
    found += _speechless(settings)
    try:
        admitted, others = admission(settings, given)
    except InvalidSettings as why:
        return [*found, *why.problems]
    found += others
    found += admitted.problems
    found += admitted.unread()
    found += [
        Problem(verdict.origin, verdict.reason, f"route {verdict.route} is not admitted: {verdict.message}", verdict.route)
        for verdict in admitted.state.verdicts if not verdict.admitted
    ]
    found += [
        settings.problem(f"listener[{one.number}].route", f'there is no route "{one.route}"') for one in admitted.unserved_listeners()
    ]
    return sorted(found, key=lambda problem: (problem.origin.where, problem.origin.line))


def _speechless(settings: Settings) -> list[Problem]:
    """Listeners that no worker could serve: OpenSSL is asked, with the files that they name."""
    found = []
    for one in settings.listeners:
        if one.tls:
            try:
                server_context(settings.tls, one, first_crls(one))
            except ContextError as why:
                found.append(settings.problem(f"listener[{one.number}]", str(why)))
    return found


def operator(settings: Settings) -> tuple[OperatorCertificates, list[Problem]]:
    """What the operator gives, as it is now, and what is wrong with it; nothing is made that is not there."""
    given = OperatorCertificates(settings, make=False)
    try:
        trio.run(given.load)
    except InvalidSettings as why:
        told = "\n".join(problem.message for problem in why.problems)
        return given, [*why.problems, *(problem for problem in given.problems if str(problem) not in told)]
    return given, list(given.problems)


def picture(settings: Settings, given: OperatorCertificates, state: State) -> Picture:
    """Which certificates would be shown."""
    certificates = Certificates(terminates=any(listener.tls for listener in settings.listeners))
    certificates.use_operators(given.default, given.names, 0.0)
    certificates.follow(state, 0.0)
    return certificates.picture


def admission(settings: Settings, given: OperatorCertificates) -> tuple[Admission, list[Problem]]:
    """One snapshot of every source, settled; and what is wrong with plugins and sources themselves. Raises InvalidSettings."""
    plugins = load_plugins()
    sources, kinds = offers(plugins, settings)
    known = {name for name, _ in plugins.manager.list_name_plugin()}
    found = [
        settings.problem(f"sources.{name}", f'there is no plugin "{name}"; there are {", ".join(sorted(known))}')
        for name in settings.sources if name not in known
    ]
    found += [Problem(settings.origin("sources"), "sources", line) for line in plugins.problems]
    router = settings.plugin_settings()["router"]
    intake = Intake(
        {one.source.name: getattr(one.source, "filter_addresses", True) is not False for one in sources},
        endpoints_only=bool(router.get("watch_endpoints", False)),
    )
    for offered in sources:
        name = offered.source.name
        try:
            snapshot = trio.run(_first_snapshot, offered)
            with fence(offered.plugin):
                intake.put(name, snapshot)
        except (PluginFailed, SourceError) as why:
            found.append(settings.problem(f"sources.{name}", str(why)))
    admitted = Admission(intake, kinds, settings.listeners, ownership=not router["disable_namespace_ownership_check"])
    admitted.believe(given.destination)
    trio.run(admitted.prepare)
    admitted.update()
    return admitted, found


async def _first_snapshot(offered: OfferedSource) -> Snapshot:
    """Run a source until it has given something. Raises SourceError or PluginFailed."""
    given: list[Snapshot] = []
    with trio.move_on_after(_WAIT_MOST_S) as limit:

        async def publish(snapshot: Snapshot) -> None:
            given.append(snapshot)
            limit.cancel()
            await trio.lowlevel.checkpoint()

        with fence(offered.plugin):
            taker: Publish = publish
            await offered.source.run(taker)
    if not given:
        if limit.cancelled_caught:
            raise SourceError(f"it has given nothing within {_WAIT_MOST_S:g} s")
        return Snapshot()
    return given[0]
