"""Edits that each break one rule of a request, and valid requests to edit: see docs/strategies.md."""

from openpipe_mock.payloads.edits import Edit, edits, header_edits
from openpipe_mock.payloads.valid import Positive, header_positives, positives

__all__ = ["Edit", "Positive", "edits", "header_edits", "header_positives", "positives"]
