"""Measurements of skebm beside its peers; see README.md here."""
