"""Contenders measured side by side, because a shared machine's speed drifts.

A figure from one moment and a figure from another say more about the neighbours than
about the code. So contenders take turns, round by round, and what is kept are the
medians of the rounds and of the ratios inside each round.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parents[2]

Clock = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, in the order they were run."""

    cpu: list[float]
    """All threads of this process."""
    wall: list[float]

    def add(self, contender: Callable[[], object]) -> None:
        """Run *contender* once and note what it took."""
        cpu, wall = time.process_time(), time.perf_counter()
        contender()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)

    def median(self, clock: Clock) -> float:
        """Seconds."""
        return median(self.cpu if clock == "cpu" else self.wall)

    def ratio(self, other: "Timing", clock: Clock = "cpu") -> float:
        """How many times *other*'s time this takes: the median over the rounds."""
        pairs = zip(getattr(self, clock), getattr(other, clock), strict=True)
        return median(mine / theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class Line:
    """One row of the printed table."""

    what: str
    measured: float
    target: float | None
    """None for what only helps to understand the others."""
    at_most: bool
    unit: str

    @property
    def met(self) -> bool | None:
        """Whether the target is met; noise can decide this either way."""
        if self.target is None:
            return None
        if self.at_most:
            return self.measured <= self.target
        return self.measured >= self.target


@dataclass
class Ledger:
    """Runs the races, keeps what they showed."""

    full: bool
    """Whether this is a measurement, or only a proof that everything still runs."""
    lines: list[Line] = field(default_factory=list)
    timings: dict[str, dict[str, float]] = field(default_factory=dict)

    def race(
        self,
        title: str,
        contenders: Mapping[str, Callable[[], object]],
        rounds: int = 7,
    ) -> dict[str, Timing]:
        """Run each once to warm up, then all in turn, *rounds* times."""
        timings = {name: Timing([], []) for name in contenders}
        for contender in contenders.values():
            contender()
        for _ in range(rounds if self.full else 1):
            for name, contender in contenders.items():
                timings[name].add(contender)
        self.keep(title, timings)
        return timings

    def race_in_steps(
        self,
        title: str,
        steps: int,
        contenders: Mapping[str, Callable[[], object]],
        renew: Callable[[], None],
        rounds: int = 5,
    ) -> list[dict[str, Timing]]:
        """The timings of each step, where a contender's *n*th call is its *n*th step.

        *renew* puts all back to before the first step; the first round is not kept.
        """
        kept: list[dict[str, Timing]] = []
        for round_ in range(rounds + 1 if self.full else 1):
            if round_ <= 1:
                kept = [{n: Timing([], []) for n in contenders} for _ in range(steps)]
            renew()
            for timings in kept:
                for name, contender in contenders.items():
                    timings[name].add(contender)
        for step, timings in enumerate(kept, start=1):
            self.keep(f"{title} {step}", timings)
        return kept

    def keep(self, title: str, timings: Mapping[str, Timing]) -> None:
        """Put the medians into the second table."""
        for name, timing in timings.items():
            self.timings[f"{title}: {name}"] = {
                "cpu_s": timing.median("cpu"),
                "wall_s": timing.median("wall"),
            }

    def at_most(
        self, what: str, measured: float, target: float, unit: str = "x"
    ) -> None:
        """Note a figure that should not exceed *target*."""
        self.lines.append(Line(what, measured, target, True, unit))

    def at_least(
        self, what: str, measured: float, target: float, unit: str = "x"
    ) -> None:
        """Note a figure that should reach *target*."""
        self.lines.append(Line(what, measured, target, False, unit))

    def context(self, what: str, measured: float, unit: str = "x") -> None:
        """Note a figure without which another cannot be judged."""
        self.lines.append(Line(what, measured, None, True, unit))

    def text(self) -> str:
        """Both tables."""
        out = [f"{'':<58} {'measured':>12} {'target':>12}"]
        for line in self.lines:
            row = f"{line.what:<58} {line.measured:>8.2f} {line.unit:<4}"
            if line.target is not None:
                bound = "≤" if line.at_most else "≥"
                missed = "" if line.met else "  MISSED"
                row += f"{bound} {line.target:>6.2f} {line.unit}{missed}"
            out.append(row)
        out += ["", f"{'':<58} {'CPU s':>12} {'wall s':>12}"]
        for name, figures in self.timings.items():
            out.append(
                f"{name:<58} {figures['cpu_s']:>12.4f} {figures['wall_s']:>12.4f}"
            )
        return "\n".join(out)

    def save(self, path: Path) -> None:
        """The same as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [asdict(line) | {"met": line.met} for line in self.lines]
        value = {"ratios": lines, "seconds": self.timings, "machine": machine()}
        path.write_text(json.dumps(value, indent=2) + "\n")


@dataclass(frozen=True)
class Child:
    """What a process of its own took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Largest resident size."""
    stdout: str


def run_python(arguments: Sequence[str], environment: Mapping[str, str] = {}) -> Child:
    """Run this interpreter with *arguments*; raises where it fails.

    A process between this one and the measured one keeps this one's own resident
    size, which the kernel would hand down, out of the figure.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCH, sys.executable, *arguments],
        stdout=subprocess.PIPE,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        | environment,
        check=True,
        text=True,
    )
    stdout, _, figures = done.stdout.rstrip("\n").rpartition("\n")
    wall, cpu, peak = figures.split()
    return Child(float(wall), float(cpu), int(peak), stdout)


_LAUNCH: Final = """
import os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
print()
print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def machine() -> dict[str, str | int]:
    """What kind of machine this is; nothing that would name it."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
            break
    return {
        "processor": model or os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": os.uname().release.split("-")[0],
        "python": sys.version.split()[0],
        "load_when_done": f"{os.getloadavg()[0]:.1f}",
    }
