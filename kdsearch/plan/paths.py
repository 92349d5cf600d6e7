"""The paths of a spec, so that they mean the same wherever it is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdsearch.model_folders import located
from kdsearch.spec.models import SearchSpec

if TYPE_CHECKING:
    from kdsearch.spec.parts import Parts


def absolute_paths(spec: SearchSpec, parts: Parts) -> SearchSpec:
    """Make the spec's paths absolute: workers may run elsewhere.

    A domain's options are paths where its `Options` type them as `pathlib.Path`. Models of the hub
    are downloaded, and named by their commit.

    Raises:
        ModelError: If there is no model of a name.
    """
    values = spec.model_dump(mode="json")
    every = (*parts.earlier, parts)
    for written, stage, own in zip(values["stages"], spec.stages, every, strict=True):
        domains = written["domains"] or [written["domain"]]
        for choice, options in zip(domains, own.each_options, strict=True):
            for name in choice["options"]:
                if isinstance(path := getattr(options, name), Path):
                    choice["options"][name] = str(path.absolute())
        for place, teacher in enumerate(written["teachers"]):
            if teacher["model"] is not None and (place == 0 or place in stage.teaching):
                teacher["model"] = located(teacher["model"])
            for key in ("predictions", "run"):
                if teacher[key] is not None:
                    teacher[key] = str(Path(teacher[key]).absolute())
        tunings = (teacher["fine_tune"] for teacher in written["teachers"])
        for training in (written["train"], *tunings):
            if training is not None and training["deepspeed"] is not None:
                training["deepspeed"] = str(Path(training["deepspeed"]).absolute())
    if (found := getattr(parts.ladder_config, "located", None)) is not None:
        values["ladder"] |= found().model_dump(mode="json")
    if values["cache"]["path"] is not None:
        values["cache"]["path"] = str(Path(values["cache"]["path"]).absolute())
    return SearchSpec.model_validate(values)
