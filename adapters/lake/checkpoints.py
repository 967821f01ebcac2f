"""The journal of a stage: one small JSON file a finished item, kept until the stage commits.

It only ever saves work: a file that is broken, half written or gone means that the item is done again. So two runs may
read, write and delete one journal at the same time.
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

    basis : what the entries were made from; hex digits. A folder with another basis is not looked at.
    """

    root: str
    stage: str
    basis: str

    def names(self) -> frozenset[str]:
        """Names of the entries that are there; one listing."""
        filesystem, folder = arrow_filesystem(self._folder)
        selector = pafs.FileSelector(folder, allow_not_found=True)
        try:
            return frozenset(info.base_name for info in filesystem.get_file_info(selector))
        except STORAGE_ERRORS:
            return frozenset()

    def read(self, key: str) -> bytes | None:
        """An entry's content; None where there is none that can be read."""
        filesystem, folder = arrow_filesystem(self._folder)
        try:
            with filesystem.open_input_stream(f"{folder}/{self.name(key)}") as stream:
                content: bytes = stream.read()
        except STORAGE_ERRORS:
            return None
        return content

    def write(self, key: str, content: bytes) -> None:
        """Keep an entry. One that cannot be kept is work to do again, and no reason to fail what was done."""
        with suppress(*STORAGE_ERRORS):
            put_file(self._folder, self.name(key), content)

    def clear(self) -> None:
        """Delete the stage's entries, those of every other basis too."""
        filesystem, root = arrow_filesystem(self.root)
        with suppress(*STORAGE_ERRORS):
            for info in filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True)):
                if info.base_name.rpartition("-")[0] == self.stage:
                    # Another run may be writing into it, or deleting it.
                    with suppress(*STORAGE_ERRORS):
                        filesystem.delete_dir(info.path)

    @staticmethod
    def name(key: str) -> str:
        """File name of a key's entry, whatever characters the key has."""
        return f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.json"

    @property
    def _folder(self) -> str:
        return f"{self.root}/{self.stage}-{self.basis}"
