"""Recursion: the explainer becomes the subject, level by level, and a ledger says where trust went."""
