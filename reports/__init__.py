"""Turns the plain data of one run into report.html, report.json and junit.xml.

Knows neither pytest nor the queue: whoever fills in ``model.Run`` gets the files.
"""
