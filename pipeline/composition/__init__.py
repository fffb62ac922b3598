"""The composition root: where a config becomes the parts of a job. Imported by the command line alone."""
