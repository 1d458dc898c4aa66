"""Deterministic simulation: the real gateway and the real centre through 30 days of faults, in virtual time.

    plan     what goes wrong and when, drawn from the seed
    world    who takes part: the box (gateway, disk, clock, bus), the broker, the centre, its store
    history  what happened, watched while it happens: ground truth, promises broken, one digest
    checks   the promises P1-P7 at the end
    run      one seed, start to end

`python -m tests.sim --seeds N --from S` runs many; `--seed S` replays one and prints its plan.
"""
