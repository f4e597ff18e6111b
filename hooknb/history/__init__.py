"""Reading back what a hook received: records, frames, rows of a table, files, waiting."""
