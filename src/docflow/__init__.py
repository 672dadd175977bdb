"""docflow: a closed document-processing workflow service."""

__version__ = "0.1.0"
