"""The C references: built where the benchmark runs, called on numpy arrays."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from bench.answer import Answer
from bench.host import Host

_FLAGS: Final = ("-march=native", "-mcpu=native", "")
"""How compilers are told to use all of this processor, by architecture."""

_BITS: Final = 10
"""1024 parts, of 16 Ki rows each at the benchmark's size."""


class NoCompilerError(Exception):
    """Why the C references cannot be had on this machine."""


def build(source: str, folder: Path) -> ctypes.CDLL:
    """Compile *source*, a file beside this one, into *folder* and load it.

    Raises NoCompilerError, with the compiler's words where it has some.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise NoCompilerError("no C compiler: neither $CC, cc nor gcc")
    path = Path(__file__).with_name(source)
    library = folder / f"{path.stem}.so"
    common = ["-std=c11", "-O3", "-shared", "-fPIC", "-pthread", "-o", str(library)]
    told = ""
    for flag in _FLAGS:
        command = [*compiler.split(), *filter(None, [flag]), *common, str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise NoCompilerError(f"{compiler}: {error.strerror}") from error
        if done.returncode == 0:
            return ctypes.CDLL(str(library))
        told = done.stderr
    raise NoCompilerError(f"{compiler} cannot build {source}: {told.strip()[:500]}")


class CSteady:
    """steady.c."""

    def __init__(self, folder: Path) -> None:
        self._steady = build("steady.c", folder).steady

    def __call__(self, host: Host, threads: int = 2) -> Answer:
        """The full answer."""
        processes, workloads = len(host.workload), int(host.workload.max()) + 1
        arguments = _Host(
            _pointer(host.digest), len(host.digest), host.zero,
            _pointer(host.segment_row), _pointer(host.segment_process),
            _pointer(host.segment_kind), len(host.segment_kind), processes,
            _pointer(host.workload), workloads, host.kinds,
        )  # fmt: skip
        answer = Answer(
            totals=np.zeros(3, np.int64),
            histogram=np.zeros(40, np.int64),
            process=np.zeros((processes, 5), np.int64),
            share=np.zeros(processes),
            kind=np.zeros((host.kinds, 4), np.int64),
            workload=np.zeros(workloads, np.int64),
        )
        into = _Answer(
            *map(
                _pointer,
                (answer.process, answer.share, answer.kind, answer.workload,
                 answer.totals, answer.histogram),
            )
        )  # fmt: skip
        self._steady(ctypes.byref(arguments), ctypes.byref(into), _BITS, threads)
        return answer


class CScan:
    """scan_pass.c, with the state of one simulated ksmd."""

    COUNTERS: Final = (
        "shared", "sharing", "unshared", "items", "zero_pages", "chains", "dups",
        "skipped", "scanned",
    )  # fmt: skip

    def __init__(
        self,
        folder: Path,
        content: npt.NDArray[np.int32],
        *,
        max_page_sharing: int,
        use_zero_pages: bool,
        smart_scan: bool,
    ) -> None:
        self._scan_pass = build("scan_pass.c", folder).scan_pass
        items = len(content)
        place = np.zeros((int(content.max(initial=-1)) + 1, 4), np.int32)
        place[:, 1] = -1
        self._counters = np.zeros(len(self.COUNTERS), np.int64)
        self._arrays = (
            content,
            np.full(items, np.iinfo(np.int32).min, np.int32),
            *(np.zeros(items, np.uint8) for _ in range(3)),
            place,
            self._counters,
        )
        self._ksmd = _Ksmd(
            items, *map(_pointer, self._arrays), 0, max_page_sharing,
            use_zero_pages, smart_scan,
        )  # fmt: skip
        self._scans = 0

    def full_scan(self) -> None:
        """Visit every item once."""
        self._scan_pass(ctypes.byref(self._ksmd), self._scans)
        self._scans += 1

    def counters(self) -> dict[str, int]:
        """So far, by the names in COUNTERS."""
        return dict(zip(self.COUNTERS, self._counters.tolist(), strict=True))


class _Host(ctypes.Structure):
    _fields_ = [
        ("digest", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("zero", ctypes.c_uint64),
        ("segment_row", ctypes.c_void_p),
        ("segment_process", ctypes.c_void_p),
        ("segment_kind", ctypes.c_void_p),
        ("segments", ctypes.c_int32),
        ("processes", ctypes.c_int32),
        ("workload", ctypes.c_void_p),
        ("workloads", ctypes.c_int32),
        ("kinds", ctypes.c_int32),
    ]


class _Answer(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("process", "share", "kind", "workload", "totals", "histogram")
    ]


class _Ksmd(ctypes.Structure):
    _fields_ = [
        ("items", ctypes.c_int64),
        *[
            (name, ctypes.c_void_p)
            for name in (
                "content",
                "checksum",
                "where",
                "age",
                "skips",
                "place",
                "counters",
            )
        ],
        ("zero_content", ctypes.c_int32),
        ("max_page_sharing", ctypes.c_int32),
        ("use_zero_pages", ctypes.c_int32),
        ("smart_scan", ctypes.c_int32),
    ]


def _pointer(array: npt.NDArray[Any]) -> int:
    assert array.flags.c_contiguous
    return array.ctypes.data
