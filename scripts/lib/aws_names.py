"""Names that the stand-in for AWS and its tests share; the two run with different libraries."""

UNKNOWN_CERTIFICATE = "certificate/00000000-0000-0000-0000-000000000000"
"""A distribution that is to use it fails, as with one that is not there."""
