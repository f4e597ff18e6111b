"""The tab of the workflow."""
