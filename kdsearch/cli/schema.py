"""`kdsearch schema`: the form of a spec, for editors."""

from __future__ import annotations

from typing import Any

import click

from kdsearch.cli.output import print_json


@click.command()
def schema() -> None:
    """Print the JSON schema of a spec.

    Editors complete and check a spec by it.
    """
    from kdsearch.spec.models import SearchSpec

    print_json(written_schema(SearchSpec.model_json_schema()))


def written_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Let the one stage's keys stand at the top instead of in `stages`."""
    stage = schema["$defs"]["Stage"]
    required = [key for key in schema["required"] if key != "stages"]
    stage["required"].remove("domain")
    stage["oneOf"] = [{"required": ["domain"]}, {"required": ["domains"]}]
    written = {"required": [*stage["required"], "teachers"], "oneOf": stage["oneOf"]}
    forms = [{"required": ["stages"]}, written]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "properties": schema["properties"] | stage["properties"],
        "required": required,
        "oneOf": forms,
    }
