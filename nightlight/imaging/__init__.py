"""Bytes of an upload to renditions.

``probe`` reads headers without any decoder and loads nothing heavy; the service uses only that. The
other modules use Pillow and belong to the workers.
"""
