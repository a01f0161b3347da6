"""What every database file begins with, and the sizes that its pages may have.

See https://www.sqlite.org/fileformat2.html#the_database_header.
"""

MAGIC = b"SQLite format 3\0"
PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))
