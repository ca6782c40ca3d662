"""Providers: one file each, found by the entry point group `bellwire.providers` (see `docs/providers.md`)."""
