"""The gate tried on itself: every planted defect must come out red, and the clean core never."""
