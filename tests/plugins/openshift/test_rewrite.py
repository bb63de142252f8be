"""rewrite-target: openshift-routes.md 9.4."""

import pytest
from edged_plugins.openshift.rewrite import rewrite_target


@pytest.mark.parametrize(("written", "expected"), [
    ("/", "/"), ("/foo", "/foo"), ("/foo/", "/foo/"), ("/a b", "/a b"),
    ("", None), ("foo", None), ("/a\nb", None), ("/a\rb", None),
    ("/a#b", "/a#"), ("/#", "/#"), ('/a"b', "/ab"), ("/a'b'", "/ab"), ('/a\\"b', '/a"b'), ("/a\\'b", "/a'b"), ("/a\\#b", "/a%23b"),
    ("/a\\#", "/a%23"),
    ("/100%", "/100%"), ("/100%%", "/100%"), ("/100%%%", "/100%%%"), ("/100%%%%", "/100%%"),
    ("/a\\b", "/ab"), ("/a\\\\b", "/ab"), ("/a\\", "/a"), ("/\\1", "/1"),
])
def test_rewrite_target(written: str, expected: str | None) -> None:
    assert rewrite_target(written) == expected
