"""The verbs of the command line, one small file each.

A verb loads what it needs of the core when it runs, so that ``--help`` need not wait for it.
"""
