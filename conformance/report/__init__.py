"""Reports of a run as data (`data`, `document`), and as files: JSON, JUnit XML, one HTML page, a badge (`files`).

docs/reference/conformance-report.md describes the JSON document, which the page shows.
"""
