"""The same review without an API server: manifests and recorded reviews, judged or replayed from the command line."""
