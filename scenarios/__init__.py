"""The suite that users run: each file is one promise under some faults."""
