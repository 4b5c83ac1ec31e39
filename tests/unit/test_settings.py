import pytest

from nightlight.settings import CONCERNS, Settings
from nightlight.settings.base import require
from nightlight_core.errors import SettingsRefused


def test_everything_has_a_default_and_a_description():
    Settings()
    for concern in CONCERNS.values():
        assert concern.__doc__
        for field in concern.model_fields.values():
            assert field.description
            assert not field.is_required()


def test_secrets_never_print(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_DELIVERY_SIGNING_KEYS", "a1:very-secret")
    monkeypatch.setenv("NIGHTLIGHT_STORE_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("NIGHTLIGHT_CATALOGUE_URL", "postgresql://u:very-secret@h/d")
    settings = Settings()
    assert "very-secret" not in repr(settings.delivery) + str(settings.store) + repr(settings.catalogue)
    assert require(settings.store.secret_access_key, "X") == "very-secret"


def test_every_wrong_variable_is_named_and_no_value_is_printed(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_SERVICE_PORT", "eighty-eighty")
    monkeypatch.setenv("NIGHTLIGHT_UPLOAD_MAX_PIXELS", "999999999999")
    monkeypatch.setenv("NIGHTLIGHT_DEPLOYMENT", "cloud")
    with pytest.raises(SettingsRefused) as refused:
        Settings()
    text = str(refused.value)
    assert "NIGHTLIGHT_SERVICE_PORT" in text
    assert "NIGHTLIGHT_UPLOAD_MAX_PIXELS" in text
    assert "NIGHTLIGHT_DEPLOYMENT" in text
    assert "eighty-eighty" not in text


def test_a_lease_must_outlive_the_time_limit(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_WORKER_LEASE_S", "60")
    monkeypatch.setenv("NIGHTLIGHT_WORKER_TIME_LIMIT_S", "60")
    with pytest.raises(SettingsRefused, match="LEASE_S"):
        Settings()


def test_settings_are_frozen():
    settings = Settings()
    with pytest.raises(AttributeError):
        settings.store = None
    with pytest.raises(ValueError, match="frozen"):
        settings.service.port = 1


def test_secrets_may_come_from_files(monkeypatch, tmp_path):
    (tmp_path / "nightlight_delivery_name_key").write_text("from-a-file")
    monkeypatch.setenv("NIGHTLIGHT_SECRETS_DIR", str(tmp_path))
    assert Settings().delivery.name_key.get_secret_value() == "from-a-file"


def test_a_missing_secret_says_what_to_do():
    with pytest.raises(SettingsRefused, match="nightlight keys init"):
        require(None, "NIGHTLIGHT_DELIVERY_NAME_KEY")
