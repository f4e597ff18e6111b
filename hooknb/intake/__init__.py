"""From a request to a kept delivery and a response."""
