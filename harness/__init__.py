"""The pytest plugin of the gate, and what drives, breaks and judges a queue."""
