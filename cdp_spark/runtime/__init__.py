"""What makes tables durable and runs visible: storage, session, progress, run record."""
