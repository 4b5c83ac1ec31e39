"""The app: its checks, and what it watches."""

from django.apps import AppConfig


class NightlightConfig(AppConfig):
    """Nightlight in Django."""

    name = "nightlight_django"
    verbose_name = "Nightlight"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks, and connect signals to the models that have pictures."""
        from nightlight_django import checks, signals

        checks.register_all()
        signals.connect()
