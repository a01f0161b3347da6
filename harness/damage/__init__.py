"""The corruption matrix: every region of a queue's files, damaged in every way that makes sense."""
