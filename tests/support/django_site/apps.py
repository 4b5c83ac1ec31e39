from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "tests.support.django_site"
    label = "django_site"
    default_auto_field = "django.db.models.BigAutoField"
