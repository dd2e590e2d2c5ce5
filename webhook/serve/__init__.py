"""One process: the HTTP of the admission paths, operations and pages, and what the leader does beside the answers."""
