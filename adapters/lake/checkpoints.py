"""Checkpoints of a stage: one small JSON file per finished item, kept until the stage commits.

Checkpoints only save work: the run redoes an item whose file is broken, half written or gone. Two runs may therefore
read, write and delete the same checkpoints at the same time.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

import pyarrow.fs as pafs

from adapters.lake.files import STORAGE_ERRORS, arrow_filesystem, put_file

__all__ = ["Checkpoints"]


@dataclass(frozen=True)
class Checkpoints:
    """Entries by key below `<root>/<stage>-<basis>/`. Cheap to send to workers.

    basis : hex digits that identify the inputs of the entries. Folders with another basis are ignored.
    """

    root: str
    stage: str
    basis: str

    def names(self) -> frozenset[str]:
        """Return the names of the existing entries, from one listing."""
        filesystem, folder = arrow_filesystem(self._folder)
        selector = pafs.FileSelector(folder, allow_not_found=True)
        try:
            return frozenset(info.base_name for info in filesystem.get_file_info(selector))
        except STORAGE_ERRORS:
            return frozenset()

    def read(self, key: str) -> bytes | None:
        """Return the content of an entry; None if no readable one exists."""
        filesystem, folder = arrow_filesystem(self._folder)
        try:
            with filesystem.open_input_stream(f"{folder}/{self.name(key)}") as stream:
                content: bytes = stream.read()
        except STORAGE_ERRORS:
            return None
        return content

    def write(self, key: str, content: bytes) -> None:
        """Keep an entry. A failure is ignored: the item is redone later, and the finished work does not fail."""
        with suppress(*STORAGE_ERRORS):
            put_file(self._folder, self.name(key), content)

    def drop(self, key: str) -> None:
        """Delete an entry. A failure is ignored."""
        filesystem, folder = arrow_filesystem(self._folder)
        with suppress(*STORAGE_ERRORS):
            filesystem.delete_file(f"{folder}/{self.name(key)}")

    def clear(self) -> None:
        """Delete the entries of the stage, including those of any other basis."""
        filesystem, root = arrow_filesystem(self.root)
        with suppress(*STORAGE_ERRORS):
            for info in filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True)):
                if info.base_name.rpartition("-")[0] == self.stage:
                    # Another run may be writing into it, or deleting it.
                    with suppress(*STORAGE_ERRORS):
                        filesystem.delete_dir(info.path)

    @staticmethod
    def name(key: str) -> str:
        """Return the file name of an entry; keys may contain any character."""
        return f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.json"

    @property
    def _folder(self) -> str:
        return f"{self.root}/{self.stage}-{self.basis}"
