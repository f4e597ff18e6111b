"""Requests to hooks: sent, sent again, and written as shell commands."""
