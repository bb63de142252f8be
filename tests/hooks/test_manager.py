"""Plugins are found, fenced and asked."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edged.hooks import SettingsError
from edged.hooks.manager import GROUP, Plugins, load_plugins

SOURCE = """
from edged.hooks import hookimpl

class Source:
    name = "{name}"
    async def run(self, publish):
        pass

class Kind:
    name = "{name}"
    needs = ()
    def translate(self, objects, services):
        pass

@hookimpl
def edged_sources(settings):
    return [Source()]

@hookimpl
def edged_kinds(settings):
    return (Kind(),)
"""

Write = Callable[..., EntryPoint]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """plugin(name, text): a module that can be loaded by an entry point of that name."""
    monkeypatch.syspath_prepend(tmp_path)
    written: list[str] = []

    def write(name: str, text: str, *, entry: str = "") -> EntryPoint:
        module = f"plugin_under_test_{name}"
        (tmp_path / f"{module}.py").write_text(text)
        written.append(module)
        return EntryPoint(entry or name, module, GROUP)

    yield write
    for module in written:
        sys.modules.pop(module, None)


def names(plugins: Plugins) -> list[str]:
    return [offered.source.name for offered in plugins.sources({})]


def test_sources_and_kinds_of_all_plugins_are_offered(plugin: Write) -> None:
    plugins = load_plugins([plugin("b", SOURCE.format(name="two")), plugin("a", SOURCE.format(name="one"))])
    assert names(plugins) == ["one", "two"]
    assert [(one.plugin, one.kind.name) for one in plugins.kinds({})] == [("a", "one"), ("b", "two")]
    assert plugins.problems == []


@pytest.mark.parametrize(("text", "told"), [
    ("import nothing_like_this", "ModuleNotFoundError"),
    ("raise RuntimeError('at import')", "RuntimeError: at import"),
    ("raise SystemExit(1)", "SystemExit"),
    ("def x(:", "SyntaxError"),
    ("x = 1", "it implements no hook"),
    ("from edged.hooks import hookimpl\nEDGED_API = 2\n@hookimpl\ndef edged_sources(settings): return ()",
     "it needs plugin API 2, this is API 1"),
    ("from edged.hooks import hookimpl\n@hookimpl\ndef edged_suorces(settings): return ()", "there is no hook edged_suorces"),
    ("from edged.hooks import hookimpl\n@hookimpl\ndef edged_sources(settings, more): return ()", "PluginValidationError"),
])
def test_a_plugin_that_cannot_be_loaded_is_named_and_the_others_are_there(
    plugin: Write, text: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = load_plugins([plugin("bad", text), plugin("good", SOURCE.format(name="good"))])
    assert names(plugins) == ["good"]
    (problem,) = plugins.problems
    assert problem.startswith("plugin bad: cannot be loaded: plugin bad failed: ")
    assert told in problem
    assert problem in caplog.text


@pytest.mark.parametrize(("body", "told"), [
    ("raise KeyError('x')", "KeyError: 'x'"),
    ("return None", "TypeError"),
    ("return [object()]", "it has no proper name"),
    ("return [type('S', (), {'name': 'x', 'run': 5})]", "it has no proper run"),
    ("return [type('S', (), {'name': 'x', 'run': lambda publish: None})]", "its run is no coroutine function"),
])
def test_a_hook_that_fails_is_named_and_the_others_are_asked(plugin: Write, body: str, told: str) -> None:
    bad = plugin("bad", f"from edged.hooks import hookimpl\n@hookimpl\ndef edged_sources(settings):\n    {body}\n")
    plugins = load_plugins([bad, plugin("good", SOURCE.format(name="good"))])
    assert names(plugins) == ["good"]
    assert plugins.problems[0].startswith("plugin bad: ")
    assert told in plugins.problems[0]


def test_a_kind_that_is_none_is_named(plugin: Write) -> None:
    bad = plugin("bad", "from edged.hooks import hookimpl\n@hookimpl\ndef edged_kinds(settings):\n    return [5]\n")
    plugins = load_plugins([bad])
    assert plugins.kinds({}) == []
    assert "kind 5" in plugins.problems[0]


def test_settings_that_a_plugin_refuses_stop_the_start(plugin: Write) -> None:
    refuses = plugin("bad", (
        "from edged.hooks import SettingsError, hookimpl\n@hookimpl\n"
        "def edged_sources(settings):\n    raise SettingsError('bad.key', settings['bad']['key'])\n"
    ))
    with pytest.raises(SettingsError) as caught:
        load_plugins([refuses]).sources({"bad": {"key": "no good"}})
    assert (caught.value.key, caught.value.message) == ("bad.key", "no good")


def test_two_sources_of_one_name_are_one_too_many(plugin: Write) -> None:
    plugins = load_plugins([plugin("a", SOURCE.format(name="same")), plugin("b", SOURCE.format(name="same"))])
    assert names(plugins) == ["same"]
    assert plugins.problems == ["plugin b: source 'same': plugin a has a source of this name already"]


def test_no_plugin_can_take_the_place_of_ours(plugin: Write) -> None:
    ours = EntryPoint("files", "edged_plugins.files", GROUP)
    plugins = load_plugins([plugin("evil", SOURCE.format(name="files"), entry="files"), ours])
    assert plugins.owner_of("edged_plugins.files") == "files"
    assert names(plugins) == []
    assert plugins.problems == ["plugin files: plugin_under_test_evil has the name of another plugin"]


def test_one_plugin_found_twice_is_one(plugin: Write) -> None:
    entry = plugin("a", SOURCE.format(name="one"))
    plugins = load_plugins([entry, entry])
    assert (names(plugins), plugins.problems) == (["one"], [])


def test_modules_belong_to_their_plugin_with_all_below_them(plugin: Write) -> None:
    plugins = load_plugins([plugin("a", SOURCE.format(name="one"))])
    assert plugins.owner_of("plugin_under_test_a.deep.er") == "a"
    assert plugins.owner_of("plugin_under_test_abc") is None
    assert plugins.owner_of("trio._core") is None


def test_our_own_plugins_are_installed_like_anyone_s() -> None:
    plugins = load_plugins()
    assert plugins.problems == []
    assert {name for name, _ in plugins.manager.list_name_plugin()} >= {"files", "openshift"}
