"""Perceptual hashes and the search for near ones: what finds a copy when its invisible watermark does not.

``pdq`` computes hashes from pixels. ``index`` stores and searches them, in the parts that ``segment`` describes.
``list_files`` reads hash lists of others, and ``list_index`` searches them. Nothing here depends on image files, SQL or
S3.
"""
