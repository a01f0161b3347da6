"""Queues under test, each reached through a driver program in a process of its own."""
