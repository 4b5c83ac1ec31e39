"""What the client and the server share: identifiers, errors, keys, the policy table and the decision.

Nothing here opens a network connection or a database.
"""

__version__ = "0.1.0"
