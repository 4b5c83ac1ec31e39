"""The policy language: documents to one table, and the table to decisions.

``load`` reads and checks the files, ``compile`` makes the table, ``table`` answers. Nothing here
touches a network, a database or a clock.
"""
