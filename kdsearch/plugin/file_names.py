"""Fields of a spec that become files or folders."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from kdsearch.storage.names import file_name

FileName = Annotated[str, AfterValidator(file_name)]
"""A name of letters, digits and `._+@=-`, such as that of a size."""
