"""What the spool costs the card: flushes and bytes a batch, on a file system of its own; bytes a reading."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from time import time_ns

from gateway.model import BootMs, Draft, Row, SeqRanges, Stamp, UtcMs
from gateway.pipeline.packer import Packer
from gateway.profile.load import load
from gateway.site import Bus, Device, Polled
from gateway.sources import search_path
from gateway.south.plan import LineCost, Read, plan
from gateway.spool.spool import Spool
from simulators.signals import Moment, Signal, signal_for
from tests.bench import table
from tests.bench.backlog import open_here
from tests.bench.disk import Disk, NoDisk, mounted
from tests.bench.table import Budget
from tests.bench.written import readings_of_a_day

