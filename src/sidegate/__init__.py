"""Versioned S3 gateway for data pipelines."""
