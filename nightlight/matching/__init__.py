"""Perceptual hashes, and the search for near ones: what finds a copy when its hidden mark does not.

``pdq`` makes hashes from pixels, ``index`` keeps and searches them, ``lists`` reads those of others. Nothing here
knows of pictures' files, SQL or S3.
"""
