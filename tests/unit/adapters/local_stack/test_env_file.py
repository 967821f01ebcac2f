"""The secrets of the stack: random, complete, and never replaced."""

import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from adapters.local_stack.compose_file import read_compose
from adapters.local_stack.env_file import write_secrets
from domain.errors import SettingsError

ROOT = Path(__file__).parents[4]


def test_what_is_written_is_all_that_the_services_need_and_readable_by_its_owner_only(tmp_path):
    write_secrets(tmp_path / ".env")
    values = dotenv_values(tmp_path / ".env")
    assert read_compose(ROOT / "docker-compose.yml", values)
    assert values.keys() == set(dotenv_values(ROOT / ".env.example"))
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    secrets = [value for name, value in values.items() if name != "MLFLOW_TRACKING_USERNAME"]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 24


def test_an_older_file_gets_what_it_lacks_and_keeps_what_it_has(tmp_path):
    (tmp_path / ".env").write_text("# mine\nPOSTGRES_PASSWORD=old\nPOSTGRES_RUNS_PASSWORD=\nS3_PORT=9")
    (tmp_path / ".env").chmod(0o644)
    write_secrets(tmp_path / ".env")
    values = dotenv_values(tmp_path / ".env")
    assert (values["POSTGRES_PASSWORD"], values["S3_PORT"]) == ("old", "9")
    assert len(values["POSTGRES_RUNS_PASSWORD"]) == 48
    assert (tmp_path / ".env").read_text().startswith("# mine\n")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_complete_file_is_left_alone(tmp_path):
    write_secrets(tmp_path / ".env")
    before = (tmp_path / ".env").read_text()
    with pytest.raises(SettingsError, match="is there already, with all secrets"):
        write_secrets(tmp_path / ".env")
    assert (tmp_path / ".env").read_text() == before
