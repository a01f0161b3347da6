"""What SQLite and the core do to a disk: recorded, made to fail, and cut off by a power cut."""
