"""Trying a driver against docs/drivers.md: one small check for each thing that it says."""

from harness.drivers.check.run import CHECKS, Finding, State, check_driver

__all__ = ["CHECKS", "Finding", "State", "check_driver"]
