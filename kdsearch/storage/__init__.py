"""Everything that kdsearch writes: whole or not at all, inside its folder, checked when read."""

from kdsearch.storage.digests import damaged_files, digest
from kdsearch.storage.disk_errors import storage_fault
from kdsearch.storage.folder import Folder
from kdsearch.storage.names import file_name
from kdsearch.storage.sealed import read_sealed, sealed
from kdsearch.storage.space import check_space, exhausted, trial_bytes

__all__ = [
    "Folder",
    "check_space",
    "damaged_files",
    "digest",
    "exhausted",
    "file_name",
    "read_sealed",
    "sealed",
    "storage_fault",
    "trial_bytes",
]
