"""Accounts of scoring runs in the lake, one small file a run."""

from adapters.files import STORAGE_ERRORS, open_file, put_file
from adapters.lake import Lake
from models.accounts import ScoreAccount, account_json, parse_account

__all__ = ["read_account", "write_account"]

_FOLDER = "_jobs"


def write_account(lake: Lake, account: ScoreAccount) -> None:
    """Keep the account of a run, in place of a former one. Raises an OSError if the storage refuses."""
    put_file(f"{lake.folder(account.fleet)}/{_FOLDER}", f"{account.run_id}.json", account_json(account).encode())


def read_account(lake: Lake, fleet: str, run_id: str) -> ScoreAccount | None:
    """The account of a run; None where it has left none."""
    try:
        with open_file(f"{lake.folder(fleet)}/{_FOLDER}/{run_id}.json") as stream:
            return parse_account(stream.read())
    except STORAGE_ERRORS:
        return None
