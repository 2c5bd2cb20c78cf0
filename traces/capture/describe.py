"""A process and its mappings as rows of the trace's side tables."""

from typing import Any, Final

from traces.capture import procfs
from traces.capture.procfs import Mapping, Process
from traces.schema import PAGE_SIZE, UNKNOWN
from traces.workload import label, names

# mm/ksm.c: vma_ksm_compatible() refuses VM_SHARED, VM_MAYSHARE, VM_SPECIAL (which is
# VM_IO, VM_DONTEXPAND, VM_PFNMAP and VM_MIXEDMAP), VM_HUGETLB and VM_DROPPABLE.
_INCOMPATIBLE: Final = frozenset({"sh", "ms", "io", "de", "pf", "mm", "ht", "dp"})
_SPECIAL: Final = frozenset({"io", "de", "pf", "mm"})


def is_eligible(mapping: Mapping) -> bool:
    """Whether ksmd could look at the anonymous pages of *mapping*, once told to."""
    return _INCOMPATIBLE.isdisjoint(mapping.vm_flags)


def mapping_kind(mapping: Mapping) -> str:
    """heap, stack, anon, file, memfd, shared, hugetlb or special."""
    flags = mapping.vm_flags
    if "ht" in flags:
        return "hugetlb"
    if not _SPECIAL.isdisjoint(flags):
        return "special"
    if "sh" in flags or "ms" in flags:
        return "shared"
    if mapping.name.startswith("/memfd:"):
        return "memfd"
    if mapping.name in ("[heap]", "[stack]"):
        return mapping.name[1:-1]
    return "file" if mapping.name.startswith("/") else "anon"


def mapping_row(mapping: Mapping) -> dict[str, Any]:
    """Columns of `schema.MAPPINGS`."""
    return {
        "start_vpn": mapping.start // PAGE_SIZE,
        "pages": (mapping.end - mapping.start) // PAGE_SIZE,
        "perms": mapping.perms,
        "kind": mapping_kind(mapping),
        "name": mapping.name,
        "vm_flags": " ".join(mapping.vm_flags),
        "mergeable": "mg" in mapping.vm_flags,
    }


def process_row(
    process: Process, mappings: list[Mapping], host: str, label_by: str, private: bool
) -> dict[str, Any]:
    """Columns of `schema.PROCESSES`; without the command line if *private*."""
    command = procfs.command_line(process.pid)
    exe = procfs.executable(process.pid)
    user = procfs.user_name(process.uid)
    known = names(procfs.cgroups(process.pid), command)
    ksm = procfs.ksm_stat(process.pid)
    return {
        "host": host,
        "pid": process.pid,
        "ppid": process.ppid,
        "start_ticks": process.start_ticks,
        "comm": process.comm,
        "exe": exe,
        "cmdline": "" if private else " ".join(command),
        # The column has 31 bits; `user` has the number of a user without a name.
        "uid": process.uid if process.uid < 1 << 31 else UNKNOWN,
        "user": user,
        **known._asdict(),
        "workload": label(label_by, known, process.comm, user, exe),
        "merge_any": ksm.get("ksm_merge_any") == "yes",
        "ksm_zero_pages": int(ksm.get("ksm_zero_pages", UNKNOWN)),
        "swapped_pages": sum(m.swap for m in mappings if is_eligible(m)) // PAGE_SIZE,
        "hugetlb_pages": sum(m.hugetlb for m in mappings) // PAGE_SIZE,
        "lost_pages": 0,
        "reread_pages": 0,
        "changed_pages": 0,
    }
