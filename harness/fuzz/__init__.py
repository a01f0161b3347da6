"""Files that somebody else may have written, by the thousand: only our own errors come out."""
