"""YAML that is only data: nothing in it is executed, and nothing in it is dropped."""

from __future__ import annotations

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeyLoader(yaml.SafeLoader):
    """The safe loader, which also refuses a key given twice instead of dropping the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            # Keys that are no scalars are the base class's to refuse; `<<` is no key.
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Read a YAML document as plain containers.

    Raises:
        yaml.YAMLError: it is not valid, needs more than the safe loader, or gives a key twice.
    """
    return yaml.load(text, Loader=_UniqueKeyLoader)
