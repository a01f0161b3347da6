"""Loads pytester for the tests of the plugin; pytest takes it from no deeper folder."""

pytest_plugins = ["pytester"]
