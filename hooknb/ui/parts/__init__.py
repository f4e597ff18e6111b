"""The building blocks of all parts of the panel."""
