"""Drafts: changes made in the forms and not yet applied."""
