"""What is new, as it happens: topics, their streams, and who listens."""
