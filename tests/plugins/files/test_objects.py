"""Objects of a cluster from files: packed, with their lines."""

import pytest
from edged_plugins.files.content import Content, read_text
from edged_plugins.files.objects import PackedBody
from edged_plugins.files.shortform import Defaults

TEXT = b"""# a Route and a list
apiVersion: v1
kind: Route
metadata:
  name: web
  namespace: shop
  managedFields: [{manager: kubectl}]
  annotations:
    haproxy.router.openshift.io/timeout: 5s
spec:
  host: no
  to:
    kind: Service
    name: web
  alternateBackends:
  - name: a
  - name: b
---
kind: List
items:
- kind: Service
  metadata: {name: one}
- {kind: Service,
   metadata: {name: two}}
- 5
"""


def read(text: bytes) -> Content:
    return read_text(text, "f.yaml", Defaults())


def test_bodies_read_as_what_was_written() -> None:
    web, one, two = read(TEXT).objects
    assert web.body["spec"] == {
        "host": "no", "to": {"kind": "Service", "name": "web"}, "alternateBackends": [{"name": "a"}, {"name": "b"}]
    }
    assert web.body["metadata"] == {"name": "web", "namespace": "shop", "annotations": {"haproxy.router.openshift.io/timeout": "5s"}}
    assert web.body.get("nothing") is None
    assert [told.body["metadata"]["name"] for told in (one, two)] == ["one", "two"]
    assert [told.origin.line for told in (web, one, two)] == [2, 21, 23]


def test_lines_of_fields() -> None:
    web, _, two = read(TEXT).objects
    assert web.lines["spec.host"] == 11
    assert web.lines["spec.alternateBackends[1].name"] == 17
    assert web.lines["metadata.annotations.haproxy.router.openshift.io/timeout"] == 9
    assert "metadata.managedFields" not in web.lines
    assert two.lines["metadata.name"] == 24
    with pytest.raises(KeyError):
        web.lines["spec.nothing"]
    assert len(dict(web.lines)) == len(web.lines)


def test_what_is_no_object_is_a_problem_and_the_others_are_there() -> None:
    assert [str(problem) for problem in read(TEXT).problems] == ["f.yaml:25: an object is a mapping"]
    assert [str(problem) for problem in read(b"kind: [x]\n---\nkind: Route\nkind: Route\nmetadata: {name: a}\n").problems] == [
        "f.yaml:1: kind: must be a text", "f.yaml:4: kind: this key is here twice; Route a is refused",
    ]


def test_a_list_of_one_kind_names_it_once() -> None:
    content = read(b"kind: RouteList\nitems:\n- metadata: {name: a}\n- metadata: {name: b, name: c}\n- kind: Service\n")
    assert [told.body["kind"] for told in content.objects] == ["Route", "Service"]
    assert [str(problem) for problem in content.problems] == ["f.yaml:4: metadata.name: this key is here twice; Route b is refused"]


def test_a_far_alias_keeps_its_line() -> None:
    text = b"kind: A\nx: &x\n  deep: 1\n" + b"\n" * 200_000 + b"y: *x\nz: 1\n"
    (told,) = read(text).objects
    assert (told.lines["x.deep"], told.lines["y"], told.lines["y.deep"], told.lines["z"]) == (3, 200_004, 3, 200_005)


def test_two_bodies_may_be_read_in_turn() -> None:
    one, two = read(b"kind: A\nn: 1\n---\nkind: A\nn: 2\n").objects
    for _ in range(3):
        assert (one.body["n"], two.body["n"]) == (1, 2)
    assert dict(one.body) == {"kind": "A", "n": 1}
    assert len(one.body) == 2
    assert isinstance(one.body, PackedBody)


def test_a_body_weighs_little_more_than_its_text() -> None:
    (told,) = read(TEXT.split(b"---")[0]).objects
    assert isinstance(told.body, PackedBody)
    assert len(told.body.packed) < len(TEXT)

