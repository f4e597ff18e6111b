"""What the forms have changed and nobody has applied."""
