"""Read-only pages: what was decided, what it costs and saves, and whether everything is well. No HTTP in here."""
