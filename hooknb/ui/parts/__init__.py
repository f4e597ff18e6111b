"""What every part of the panel is made with."""
