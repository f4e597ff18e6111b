"""The tab of the deliveries."""
