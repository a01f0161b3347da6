"""The ways of https://www.sqlite.org/howtocorrupt.html, made to happen by programs and scripts."""
