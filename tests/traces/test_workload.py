import pytest

from traces import workload
from traces.workload import Names, cgroup_path, label, names

ID = "0123456789abcdef" * 4
SHORT = "0123456789ab"
POD = "11111111_2222_3333_4444_555555555555"
POD_DASHED = POD.replace("_", "-")

CASES = [
    ("/system.slice/nginx.service", {"unit": "nginx.service"}, "nginx.service"),
    (
        "/system.slice/system-postgresql.slice/postgresql@15-main.service",
        {"unit": "postgresql@15-main.service"},
        "postgresql@15-main.service",
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/firefox.service",
        {"unit": "firefox.service"},
        "firefox.service",
    ),
    ("/user.slice/user-0.slice/session-3.scope", {"unit": "session-3.scope"}, "proc"),
    ("/init.scope", {"unit": "init.scope"}, "proc"),
    (
        f"/system.slice/docker-{ID}.scope",
        {"unit": f"docker-{ID}.scope", "container": SHORT},
        SHORT,
    ),
    (f"/docker/{ID}", {"container": SHORT}, SHORT),
    (
        f"/machine.slice/libpod-{ID}.scope/container",
        {"unit": f"libpod-{ID}.scope", "container": SHORT},
        SHORT,
    ),
    (
        f"/machine.slice/libpod-conmon-{ID}.scope",
        {"unit": f"libpod-conmon-{ID}.scope"},
        f"libpod-conmon-{ID}.scope",
    ),
    (
        f"/kubepods.slice/kubepods-burstable-pod{POD}.slice/cri-containerd-{ID}.scope",
        {"unit": f"cri-containerd-{ID}.scope", "container": SHORT, "pod": POD_DASHED},
        POD_DASHED,
    ),
    (
        f"/kubepods/besteffort/pod{POD_DASHED}/{ID}",
        {"container": SHORT, "pod": POD_DASHED},
        POD_DASHED,
    ),
    (
        r"/machine.slice/machine-qemu\x2d4\x2dweb\x2d01.scope/libvirt/emulator",
        {"unit": "machine-qemu-4-web-01.scope", "vm": "web-01"},
        "web-01",
    ),
    ("/firecracker/vm7", {"vm": "vm7"}, "vm7"),
    ("/lxc.payload.mail/system.slice/x.service", None, "mail"),
    ("/lxc/db1", {"container": "db1"}, "db1"),
    ("/", {}, "proc"),
]


@pytest.mark.parametrize(("path", "wanted", "workload_name"), CASES)
def test_names_from_control_groups(path, wanted, workload_name):
    known = names({"": path})
    if wanted is not None:
        assert known == Names(cgroup=path, **wanted)
    assert label("auto", known, "proc", "user", "/exe") == workload_name


def test_hybrid_hosts_name_the_workload_in_systemds_own_hierarchy():
    cgroups = {"": "/", "name=systemd": "/system.slice/a.service", "memory": "/b"}
    assert cgroup_path(cgroups) == "/system.slice/a.service"
    assert cgroup_path({"": "/", "memory": "/b"}) == "/b"
    assert cgroup_path({"": "/"}) == "/"
    assert cgroup_path({}) == ""


def test_a_path_outside_our_namespace_still_names_its_unit():
    assert names({"": "/../../a.service"}).unit == "a.service"


def test_qemu_guests_without_a_group_are_named_by_their_command_line():
    command = ["/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on"]
    assert names({"": "/"}, command).vm == "web"
    assert names({"": "/"}, ["cat", "-name", "web"]).vm == ""


@pytest.mark.parametrize("by", workload.LABELS)
def test_every_label_falls_back_to_comm(by):
    assert label(by, Names(), "proc", "", "") == "proc"


def test_labels_can_be_chosen():
    known = Names("/a/b.service", "b.service", "c", "p", "v")
    chosen = {by: label(by, known, "proc", "me", "/bin/x") for by in workload.LABELS}
    assert chosen == {
        "auto": "p",
        "unit": "b.service",
        "container": "c",
        "pod": "p",
        "vm": "v",
        "cgroup": "/a/b.service",
        "comm": "proc",
        "user": "me",
        "exe": "/bin/x",
    }


def test_the_command_line_offers_the_same_labels():
    from analyzer.cli import options

    assert options.LABELS == workload.LABELS
