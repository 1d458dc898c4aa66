"""What a bus will be able to do, before it runs: load, feasibility, remedies. For `gateway plan`."""
