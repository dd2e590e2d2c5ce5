"""What is told afterwards and beside: the journal of decisions, scans of what runs, reports, and events on owners."""
