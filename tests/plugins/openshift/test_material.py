"""Certificates of Routes, and whom their endpoints are believed: openshift-routes.md 1.3, 2.2, 7.6, 14.1."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from edged_plugins.openshift.kind import RouteKind

from edged.control.intake import Intake
from edged.control.kinds import Translator
from edged.control.sound import flaw
from edged.hooks import Certificate, Object, Route, Snapshot, Translation, Trust, Verdict, checked_trust
from edged.hooks.manager import OfferedKind
from edged.tls import verify
from tests.control.given import endpoints, thing
from tests.scenarios.harness.authority import Authority, Certified, common_name

AUTHORITY = Authority("routes")
OTHERS = Authority("others")
ONE, TWO = AUTHORITY.issue("one", number=1), AUTHORITY.issue("two", number=2)


class Cluster:
    """Objects, and the translation of its Routes."""

    def __init__(self, **router: Any) -> None:
        self.kind = RouteKind(router, {})
        self.intake = Intake({"cluster": False})
        self.translator = Translator([OfferedKind("openshift", self.kind)])

    def has(self, *objects: Object, trust: Trust | None = None) -> Translation:
        self.intake.put("cluster", Snapshot(objects=objects))
        self.translator.believe(trust)
        trio.run(self.translator.prepare, self.intake)
        (translation,) = self.translator.update(self.intake)
        assert [flaw(route) for route in translation.routes] == [None] * len(translation.routes)
        return translation


def a_route(name: str = "web", host: str = "www.example.com", uid: str = "u", **tls: Any) -> Object:
    tls = {"termination": "edge", **tls}
    return thing(
        "Route", name, apiVersion="v1", metadata={"uid": uid}, spec={"host": host, "to": {"kind": "Service", "name": "web"}, "tls": tls},
    )


def pem(certified: Certified, **more: Any) -> dict[str, Any]:
    return {"certificate": certified.pem, "key": certified.key_pem, "caCertificate": certified.between_pem, **more}


def secret(name: str, certified: Certified | None = None, *, kind: str = "kubernetes.io/tls", **data: Any) -> Object:
    written = {"tls.crt": certified.chain_pem, "tls.key": certified.key_pem} if certified is not None else {}
    packed = {key: b64encode(value.encode()).decode() for key, value in written.items()}
    return thing("Secret", name, type=kind, data={**packed, **data})


def external(name: str = "tls", **tls: Any) -> dict[str, Any]:
    return {"externalCertificate": {"name": name}, **tls}


def the(translation: Translation) -> Route:
    assert translation.problems == ()
    (route,) = translation.routes
    return route


def shown(translation: Translation) -> str | None:
    """The name of the certificate of the only route."""
    certificate = the(translation).certificate
    return None if certificate is None else common_name(certificate.chain[0])


def refused(translation: Translation) -> Verdict:
    assert translation.routes == ()
    (verdict,) = translation.verdicts
    assert not verdict.admitted
    return verdict


# ---- certificates in the route


def test_a_route_brings_its_certificate_with_key_and_chain() -> None:
    certificate = the(Cluster().has(a_route(**pem(ONE)))).certificate
    assert certificate is not None
    assert [common_name(der) for der in certificate.chain] == ["one", "routes intermediate"]
    assert str(certificate.origin) == "objects.yaml:1"
    assert certificate == Certificate.of(certificate.chain, certificate.key)


def test_the_key_may_stand_in_the_certificate() -> None:
    assert shown(Cluster().has(a_route(certificate=ONE.bundle))) == "one"


def test_without_material_it_has_none() -> None:
    assert shown(Cluster().has(a_route())) is None
    assert shown(Cluster().has(a_route(key=ONE.key_pem))) is None      # tolerated, and unused


@pytest.mark.parametrize(("tls", "field", "message"), [
    (pem(ONE, key=TWO.key_pem), "key", "not the key of the certificate"),
    (pem(ONE, key=""), "key", "no private key"),
    (pem(ONE, certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate", "line 1"),
    (pem(ONE, certificate="rubbish"), "certificate", "no certificate"),
    (pem(ONE, caCertificate=OTHERS.pem), "certificate", "caCertificate does not lead to it"),
    (pem(ONE, caCertificate="rubbish"), "caCertificate", "no certificate"),
    (pem(AUTHORITY.issue("weak", sort="rsa1024")), "certificate", "1024 bits"),
    (pem(AUTHORITY.issue("odd", sort="ed25519")), "certificate", "RSA and ECDSA can be used"),
])
def test_a_bad_certificate_is_a_verdict_by_name(tls: dict[str, Any], field: str, message: str) -> None:
    verdict = refused(Cluster().has(a_route(**tls)))
    assert (verdict.route, verdict.reason) == ("ns/web", "ExtendedValidationFailed")
    assert f"{field}: " in verdict.message
    assert message in verdict.message
    for told in (verdict.message, repr(verdict)):
        assert "PRIVATE KEY" not in told


def test_the_verdict_stands_at_the_line_of_the_field() -> None:
    told = a_route(**pem(ONE, key=TWO.key_pem))
    placed = Object(told.body, told.origin, {"spec.tls": 7, "spec.tls.key": 9, "spec.tls.certificate": 8})
    assert refused(Cluster().has(placed)).origin.line == 9


def test_all_that_is_wrong_is_told() -> None:
    assert refused(Cluster().has(a_route(certificate="rubbish", caCertificate="rubbish"))).message.count("no certificate") == 2


@pytest.mark.parametrize("days", [(-10, 5), (5, 10)])
def test_out_of_time_is_no_reason(days: tuple[int, int]) -> None:
    certified = AUTHORITY.issue("untimely", from_day=days[0], days=days[1] if days[1] > days[0] else 1)
    assert shown(Cluster().has(a_route(**pem(certified)))) == "untimely"


def test_without_extended_validation_the_chain_is_not_followed_but_what_cannot_be_shown_is_still_refused() -> None:
    cluster = Cluster(extended_validation=False)
    assert shown(cluster.has(a_route(**pem(ONE, caCertificate=OTHERS.pem)))) == "one"
    assert "key" in refused(Cluster(extended_validation=False).has(a_route(**pem(ONE, key=TWO.key_pem)))).message


# ---- what was in force before stays


def test_a_bad_update_leaves_the_whole_route_as_it_was() -> None:
    cluster = Cluster()
    web = endpoints("web", "10.0.0.1")
    before = the(cluster.has(a_route(**pem(ONE)), web))
    translation = cluster.has(a_route(host="other.example.com", **pem(ONE, key=TWO.key_pem)), web)
    assert the(translation) is before
    assert [verdict.reason for verdict in translation.verdicts] == ["ExtendedValidationFailed"]
    moved = cluster.has(*cluster.intake.objects("Route"), endpoints("web", "10.0.0.2"))
    assert [one.address for one in the(moved).backend.endpoints] == ["10.0.0.2"]
    assert (shown(moved), the(moved).host, len(moved.verdicts)) == ("one", "www.example.com", 1)
    good = cluster.has(a_route(host="other.example.com", **pem(TWO)), web)
    assert (shown(good), the(good).host, good.verdicts) == ("two", "other.example.com", ())


def test_another_object_of_that_name_does_not_keep_what_the_old_one_had() -> None:
    cluster = Cluster()
    cluster.has(a_route(**pem(ONE)))
    refused(cluster.has(a_route(uid="another", **pem(ONE, key=TWO.key_pem))))


def test_what_never_was_good_cannot_stay() -> None:
    cluster = Cluster()
    refused(cluster.has(a_route(**pem(ONE, key=""))))
    refused(cluster.has(a_route(**pem(ONE, key="rubbish"))))


def test_what_is_no_longer_good_does_not_stay_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is judged by the time may be judged otherwise later."""
    cluster = Cluster()
    cluster.has(a_route(**pem(ONE)))
    cluster.kind._material._checked.clear()

    def refuse(*_: object, **__: object) -> None:
        raise verify.BadCertificate([("certificate", "bad times")])

    monkeypatch.setattr(verify, "route_certificate", refuse)
    assert "bad times" in refused(cluster.has(a_route(**pem(TWO)))).message


# ---- secrets


def test_a_route_may_take_its_certificate_from_a_secret() -> None:
    translation = Cluster().has(a_route(**external()), secret("tls", ONE))
    assert shown(translation) == "one"
    certificate = the(translation).certificate
    assert certificate is not None
    assert len(certificate.chain) == 2


def test_the_rest_of_the_chain_still_comes_from_the_route() -> None:
    leaf = {"tls.crt": b64encode(ONE.pem.encode()).decode()}
    certificate = the(Cluster().has(a_route(**external(caCertificate=ONE.between_pem)), secret("tls", ONE, **leaf))).certificate
    assert certificate is not None
    assert [common_name(der) for der in certificate.chain] == ["one", "routes intermediate"]


def test_a_secret_written_by_hand_may_be_plain() -> None:
    plain = thing("Secret", "tls", type="kubernetes.io/tls", stringData={"tls.crt": ONE.pem, "tls.key": ONE.key_pem})
    assert shown(Cluster().has(a_route(**external()), plain)) == "one"


@pytest.mark.parametrize(("secrets", "reason", "message"), [
    ([], "ExternalCertificateValidationFailed", "there is no secret tls"),
    ([thing("Secret", "tls", "elsewhere", type="kubernetes.io/tls")], "ExternalCertificateValidationFailed", "there is no secret tls"),
    ([secret("tls", ONE, kind="Opaque")], "ExternalCertificateValidationFailed", "is not of type kubernetes.io/tls"),
    ([secret("tls")], "ExternalCertificateGetFailed", "has no tls.crt"),
    ([secret("tls", ONE, **{"tls.key": "not base64!"})], "ExternalCertificateGetFailed", "has no tls.key"),
    ([secret("tls", ONE, **{"tls.key": 5})], "ExternalCertificateGetFailed", "has no tls.key"),
    ([secret("tls", ONE, **{"tls.key": b64encode(TWO.key_pem.encode()).decode()})], "ExtendedValidationFailed", "secret tls: key: "),
])
def test_secrets_that_cannot_be_used(secrets: Sequence[Object], reason: str, message: str) -> None:
    verdict = refused(Cluster().has(a_route(**external()), *secrets))
    assert verdict.reason == reason
    assert message in verdict.message


def test_a_changed_secret_makes_the_route_anew_and_no_other() -> None:
    cluster = Cluster()
    routes = (a_route(**external()), a_route("other", "other.example.com", **external("others")))
    others = secret("others", TWO)
    before = cluster.has(*routes, secret("tls", ONE), others)
    after = cluster.has(*routes, secret("tls", TWO), others)
    assert [common_name(route.certificate.chain[0]) for route in after.routes if route.certificate] == ["two", "two"]
    assert after.routes[1] is before.routes[1]
    assert cluster.has(*routes, *cluster.intake.objects("Secret")) is after


def test_a_secret_that_turns_bad_leaves_what_it_was_and_one_that_goes_withdraws_the_route() -> None:
    cluster = Cluster()
    route = a_route(**external())
    cluster.has(route, secret("tls", ONE))
    bad = cluster.has(route, secret("tls", ONE, **{"tls.key": b64encode(TWO.key_pem.encode()).decode()}))
    assert (shown(bad), [verdict.reason for verdict in bad.verdicts]) == ("one", ["ExtendedValidationFailed"])
    empty = cluster.has(route, secret("tls"))
    assert (shown(empty), [verdict.reason for verdict in empty.verdicts]) == ("one", ["ExternalCertificateGetFailed"])
    assert refused(cluster.has(route)).reason == "ExternalCertificateValidationFailed"
    assert shown(cluster.has(route, secret("tls", TWO))) == "two"


def test_a_secret_may_come_after_its_route() -> None:
    cluster = Cluster()
    route = a_route(**external())
    refused(cluster.has(route))
    assert shown(cluster.has(route, secret("tls", ONE))) == "one"


# ---- 7.6: endpoints


CA = checked_trust(AUTHORITY.pem)


def towards(trust: Trust | None = None, services: Sequence[str] = ("web",), **tls: Any) -> tuple[Trust | None, bool, bool, list[str]]:
    """Whom the endpoints of a route of these services are believed, and as what."""
    told = thing("Route", "web", apiVersion="v1", spec={
        "host": "www.example.com", "to": {"kind": "Service", "name": services[0]},
        "alternateBackends": [{"kind": "Service", "name": name} for name in services[1:]], "tls": tls,
    })
    backend = the(Cluster().has(told, *(endpoints(name, "10.0.0.1") for name in services), trust=trust)).backend
    return backend.trust, backend.check_name, backend.send_sni, [endpoint.server_name for endpoint in backend.endpoints]


@pytest.mark.parametrize("default", [None, checked_trust(OTHERS.pem)])
def test_a_route_with_a_destination_ca_follows_that_and_checks_no_name(default: Trust | None) -> None:
    assert towards(default, termination="reencrypt", destinationCACertificate=AUTHORITY.pem) == (CA, False, False, [""])


def test_without_one_the_default_holds_and_each_service_has_its_name_which_it_is_asked_for() -> None:
    assert towards(CA, ("web", "api"), termination="reencrypt") == (CA, True, True, ["web.ns.svc", "api.ns.svc"])


def test_without_any_authority_endpoints_are_believed_whoever_they_are() -> None:
    trust, check_name, _, names = towards(None, termination="reencrypt")
    assert trust == Trust.of(verify=False)
    assert (check_name, names) == (False, [""])


@pytest.mark.parametrize("termination", ["edge", "passthrough"])
def test_other_terminations_speak_no_tls_of_our_own(termination: str) -> None:
    assert towards(CA, termination=termination) == (None, False, False, [""])


@pytest.mark.parametrize("written", ["rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_bad_destination_ca_is_a_verdict_and_leaves_what_was(written: str) -> None:
    cluster = Cluster()
    verdict = refused(cluster.has(a_route(termination="reencrypt", destinationCACertificate=written)))
    assert (verdict.reason, "destinationCACertificate: " in verdict.message) == ("ExtendedValidationFailed", True)
    before = the(cluster.has(a_route(termination="reencrypt", destinationCACertificate=AUTHORITY.pem)))
    assert the(cluster.has(a_route(termination="reencrypt", destinationCACertificate=written))) is before


def test_another_default_makes_the_routes_anew() -> None:
    cluster = Cluster()
    route = a_route(termination="reencrypt")
    assert the(cluster.has(route)).backend.trust == Trust.of(verify=False)
    assert the(cluster.has(route, trust=CA)).backend.trust == CA


# ---- the cost


def test_each_certificate_is_checked_once_however_often_its_route_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    known = verify.route_certificate

    def counted(certificate: str, *rest: Any, **more: Any) -> Any:
        checked.append(certificate)
        return known(certificate, *rest, **more)

    monkeypatch.setattr(verify, "route_certificate", counted)
    cluster = Cluster()
    routes = [a_route("one", **pem(ONE)), a_route("two", "two.example.com", **pem(TWO)), a_route("same", "same.example.com", **pem(ONE))]
    for n in range(5):
        cluster.has(*routes, endpoints("web", f"10.0.0.{n}"))
        cluster.has(*routes[:2], endpoints("web", f"10.0.0.{n}"))
    assert len(checked) == 2


def test_texts_are_not_taken_for_others_that_read_the_same_in_a_row() -> None:
    whole = "\0".join([ONE.pem, ONE.key_pem, ONE.between_pem])
    cluster = Cluster()
    translation = cluster.has(
        a_route(**pem(ONE)), a_route("odd", "odd.example.com", termination="reencrypt", destinationCACertificate=whole),
        a_route("split", "split.example.com", certificate=ONE.pem, key=f"{ONE.key_pem}\0{ONE.between_pem}"),
    )
    made = {route.key: route for route in translation.routes}
    assert {key: len(route.certificate.chain) for key, route in made.items() if route.certificate} == {"ns/web": 2, "ns/split": 1}
    assert isinstance(made["ns/odd"].backend.trust, Trust)


def test_certificates_that_nobody_has_any_more_are_let_go() -> None:
    cluster = Cluster()
    for n in range(200):
        cluster.has(a_route(certificate=f"rubbish {n}"))
    assert len(cluster.kind._material._checked) <= 2 * 2 + 64 + 1
