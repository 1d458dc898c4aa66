"""JSON Schemas of the files that people write, for their editors: docs/reference/schemas, written by scripts.reference.

They are the models' own, with the sentences of docs/reference/keys.toml. What a schema cannot say stays with the
models: whether two values fit together, and the checks that are code.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.config.gateway import GatewayConfig
from gateway.config.ioc import IocFile
from gateway.profile.schema import ProfileSchema
from gateway.profile.vectors import VectorsSchema
from gateway.toml_file import Strict
from scripts.reference_keys import sections

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FILES: Final[Mapping[str, tuple[type[Strict], str]]] = {  # by name: the model, and its part of keys.toml
    "profile": (ProfileSchema, "profile"),
    "vectors": (VectorsSchema, "vectors"),
    "site": (GatewayConfig, "site"),
    "site.vi": (GatewayConfig, "site_vi"),
    "ioc": (IocFile, "ioc"),
}
SHORTHANDS: Final[Mapping[tuple[str, str], Any]] = {  # what a validator turns into the value that the model describes
    ("DeviceConfig", "every"): {"type": "string"},
    ("FieldSchema", "writable"): {"const": True},
}


def text(name: str, words: Mapping[str, Mapping[str, str]]) -> str:
    """One of FILES as JSON; `words` are keys.toml."""
    model, part = FILES[name]
    schema = model.model_json_schema()
    tables = {**schema.get("$defs", {}), model.__name__: schema}
    for section in sections(model):
        properties = tables[section.model.__name__]["properties"]
        for key in section.keys:
            own = properties[key.name]
            if (section.model.__name__, key.name) in SHORTHANDS:
                short = SHORTHANDS[section.model.__name__, key.name]
                own = {"anyOf": [short, *own.get("anyOf", [{"$ref": own.get("$ref")}])]}
            properties[key.name] = {**own, "description": words[part][key.path]}
    return json.dumps({"$schema": DIALECT, **schema}, indent=1, ensure_ascii=False) + "\n"
