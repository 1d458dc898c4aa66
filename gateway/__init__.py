"""Reads sensors, keeps every reading on its own disk, and lets go of it only on the IOC's word."""

__version__ = "0.1.0"
