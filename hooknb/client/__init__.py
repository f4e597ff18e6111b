"""The client: send requests to hooks, replay deliveries, and write requests as shell commands."""
