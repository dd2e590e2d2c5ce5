"""What is told afterwards and of what runs: the journal of decisions, scans, reports, and events on owners."""
