"""The source text of functions, shown and not edited: it is written in cells."""

from __future__ import annotations

from hooknb.ui.parts.part import Part

__all__ = ["Source"]


class Source(Part):
    """A function's text, as messages: what a definition holds is not saved with the notebook."""

    pieces = ("source",)
    text = ""
    label = ""

    def show(self, text: str, label: str) -> None:
        """Show another text.

        Parameters
        ----------
        text
            What is shown.
        label
            What screen readers call it.
        """
        if (text, label) != (self.text, self.label):
            self.text, self.label = text, label
            self.opened()

    def opened(self) -> None:
        """Say it."""
        self.say("source", source=self.text, label=self.label)
