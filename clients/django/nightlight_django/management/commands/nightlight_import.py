"""``manage.py nightlight_import app.Model``: send the pictures that a site had before, from its own storage.

A column that still has a file's name is read from the storage and uploaded; then it has the upload's key. It can be
stopped and run again. The files stay where they are, unless ``--delete`` is given: then each goes once its picture is
rendered by the service and can be seen. Until a picture is sent, everybody sees the placeholder.
"""

from __future__ import annotations

import re
from typing import Any

from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandError, CommandParser

from nightlight_client import NightlightError
from nightlight_django import conf
from nightlight_django.models import PictureState, UploadedPicture
from nightlight_django.owners import OwnedField, picture_fields

_KEY = re.compile("[0-9a-f]{32}")
_RENDERED_WITHIN_S = 60.0


class Command(BaseCommand):
    """Sends pictures one after another; exit code 1 says that some could not be sent."""

    help = "Send the pictures that the site had before, from its own storage."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the model, the storage, and whether files are deleted."""
        parser.add_argument("model", help="app_label.Model")
        parser.add_argument("--storage", default="default", help="the storage's name in STORAGES")
        parser.add_argument("--delete", action="store_true", help="delete each file once its picture is rendered")

    def handle(self, *_: Any, **options: Any) -> None:
        """Send what has a file's name."""
        try:
            model = apps.get_model(options["model"])
        except (LookupError, ValueError) as error:
            raise CommandError(str(error)) from error
        storage, counts = storages[options["storage"]], {True: 0, False: 0}
        for field in picture_fields(model):
            for instance in model._base_manager.exclude(**{field.name: ""}).iterator():  # noqa: SLF001 - documented
                name = getattr(instance, field.attname).name
                if name and not _KEY.fullmatch(name):
                    counts[self._sent(instance, field, name, storage, delete=options["delete"])] += 1
        self.stdout.write(f"{counts[True]} pictures sent, {counts[False]} not")
        if counts[False]:
            raise SystemExit(1)

    def _sent(self, instance: Any, field: OwnedField, name: str, storage: Any, *, delete: bool) -> bool:
        """Send one picture; return whether the service has it."""
        try:
            with storage.open(name) as file:
                content = ContentFile(file.read(), name="picture")
        except OSError as error:
            self.stderr.write(f"{instance.pk}: {name} cannot be read ({type(error).__name__})")
            return False
        setattr(instance, field.attname, content)
        instance.save(update_fields=[field.name])
        picture = UploadedPicture.objects.filter(key=getattr(instance, field.attname).name).defer("content").first()
        if picture is None or not picture.image_id:
            self.stderr.write(f"{instance.pk}: {name} was not sent")
            return False
        if delete and _rendered(picture.image_id):
            storage.delete(name)
        return True


def _rendered(image_id: str) -> bool:
    try:
        return conf.client().wait(image_id, timeout_s=_RENDERED_WITHIN_S).state == PictureState.READY
    except NightlightError:
        return False
