"""Who is polled next on one bus, and who is to blame for a silence. Pure."""
