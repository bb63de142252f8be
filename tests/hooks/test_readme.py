"""The documentation for authors of plugins holds what the API holds."""

import ast
import inspect
import re
from pathlib import Path

import pluggy
import pytest

from edged import hooks
from edged.hooks import specs, values

README = Path(__file__).resolve().parents[2] / "plugins" / "README.md"
HOOKS = sorted(name for name in vars(specs) if name.startswith("edged_"))


@pytest.fixture(scope="module")
def text() -> str:
    return README.read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_paragraph_and_says_since_when(hook: str, text: str) -> None:
    heading = f"### `{hook}"
    assert heading in text
    paragraph = text.split(heading)[1].split("\n#")[0]
    assert len(paragraph.split()) > 25
    assert "Since API 1" in paragraph
    assert "Since API 1" in inspect.getdoc(getattr(specs, hook))


def test_the_signatures_are_those_of_the_hooks(text: str) -> None:
    for hook in HOOKS:
        arguments = ", ".join(inspect.signature(getattr(specs, hook)).parameters)
        assert f"### `{hook}({arguments})`" in text


def test_no_hook_is_documented_that_there_is_not(text: str) -> None:
    assert sorted(re.findall(r"^### `(edged_\w+)", text, re.MULTILINE)) == HOOKS


@pytest.mark.parametrize("name", [*hooks.__all__, *values.__all__])
def test_every_name_that_a_plugin_may_import_is_explained(name: str, text: str) -> None:
    assert f"`{name}" in text


def test_the_examples_are_python_that_uses_only_what_is_there(text: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.ImportFrom) and node.module == "edged.hooks":
                assert {name.name for name in node.names} <= set(hooks.__all__)


def test_the_first_example_is_a_plugin(text: str) -> None:
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    module = type(specs)("example")
    exec(example[1], vars(module))
    manager = pluggy.PluginManager("edged")
    manager.add_hookspecs(specs)
    manager.register(module)
    manager.check_pending()
    assert manager.get_hookcallers(module)
