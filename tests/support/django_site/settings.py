"""Settings of the site; NIGHTLIGHT_SITE_DATABASE names its SQLite file."""

import os

SECRET_KEY = "of tests only"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
ROOT_URLCONF = "tests.support.django_site.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("NIGHTLIGHT_SITE_DATABASE", "var/site.sqlite3"),
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "nightlight_django",
    "tests.support.django_site.apps.SiteConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "nightlight_django.middleware.NightlightMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "django_site.Member"
NIGHTLIGHT = {
    "URL": "https://nightlight.test",
    "TOKEN": "of-tests",
    "RELATION_KEYS": "r1:" + "A" * 43 + "=",
    "DECLARE": "tests.support.django_site.nightlight.declare",
    "VIEWER_WORD": "tests.support.django_site.nightlight.word",
    "RELATIONS": "tests.support.django_site.nightlight.relations",
}
