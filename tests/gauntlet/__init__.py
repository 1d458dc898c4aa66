"""The whole chain as real processes, under faults drawn from a seed, and a judge that was not there."""
