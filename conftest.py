"""Loads the gate's plugin; it stays out of the way until a scenario is collected."""

pytest_plugins = ["harness.plugin"]
