"""The tab of the trigger."""
