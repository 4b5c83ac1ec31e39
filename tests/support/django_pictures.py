"""Pictures as a site's forms give them: whole PNG files of one colour."""

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from nightlight_client.testing.flat_picture import flat_picture

PNG = flat_picture(256, b"\x10\x80\xf0")
OTHER = flat_picture(256, b"\xf0\x10\x10")


def picture(data=PNG):
    return ContentFile(data, name="me.png")


def upload(data=PNG, name="me.png"):
    return SimpleUploadedFile(name, data, content_type="image/png")
