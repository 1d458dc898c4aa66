"""What a technician asks of a bus: find devices, look at registers, read and write fields, decode a trace."""
