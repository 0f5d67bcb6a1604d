from pathlib import Path

import pytest

from console.settings import DEFAULT_PROFILES, Settings, SettingsError, load_secrets, load_settings
from console.workspace import Workspace, create_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path)[0]


def test_the_written_template_holds_exactly_the_defaults(workspace: Workspace) -> None:
    assert load_settings(workspace) == Settings()
    assert load_settings(workspace).profiles == DEFAULT_PROFILES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[money]\nmax_usd_per_day = -1\n", "money.max_usd_per_day"),
        ("[money]\nmax_usd = 1\n", "money.max_usd: unknown key"),
        ('[cloud]\nurl = "127.0.0.1"\n', "cloud.url: write an address without credentials"),
        ("[cloud]\nname = 'aws'\n", "cloud.name"),
        ("[cloud\n", "is not TOML"),
        ("[pipelines.docparse]\ndpi = 5\n", "pipelines.docparse.dpi"),
        ('[cloud]\nprofile = "Z"\n', "cloud.profile: no profile 'Z' in spotter.toml (it has: A, B, C)"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_and_key(workspace: Workspace, text: str, named: str) -> None:
    workspace.settings_file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(workspace)
    assert named in str(caught.value)
    assert str(workspace.settings_file) in str(caught.value)


def test_the_environment_beats_the_file(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTTER_MONEY__MAX_USD_PER_DAY", "5")
    settings = load_settings(workspace)
    assert settings.money.max_usd_per_day == 5
    assert settings.cloud.name == "local"


def test_an_unknown_profile_names_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(SettingsError, match="A, B, C"):
        load_settings(workspace).profile("Z")


def test_secrets_are_read_from_env_file_and_never_printed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAST_API_KEY", raising=False)
    workspace.env_file.write_text("VAST_API_KEY=planted-secret\n")
    workspace.env_file.chmod(0o600)
    secrets = load_secrets(workspace)
    assert secrets.vast_api_key is not None
    assert secrets.vast_api_key.get_secret_value() == "planted-secret"
    assert "planted" not in repr(secrets)


def test_an_env_file_that_others_may_read_is_refused(workspace: Workspace) -> None:
    workspace.env_file.write_text("VAST_API_KEY=x\n")
    workspace.env_file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_secrets(workspace)
