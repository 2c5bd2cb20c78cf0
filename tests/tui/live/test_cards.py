"""The figures at the top: the kernel's own, and what was predicted as such."""

from pathlib import Path

import pytest
from live_host import KSMD, LiveHost, live_host

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.live.history import History
from analyzer.live.prediction import Prediction
from analyzer.live.sampler import Sampler
from analyzer.report.units import pages_text
from tui.live.cards import STATES, cards, parts
from tui.widgets.kpi import Card


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LiveHost:
    return live_host(tmp_path, monkeypatch)


def shown(history: History, prediction: Prediction | None = None) -> dict[str, Card]:
    return {card.label: card for card in cards(history, prediction, pages_text)}


def looked(host: LiveHost, **later: int) -> History:
    """Two looks, *later* set between them."""
    history, sampler = History(), Sampler()
    history.add(sampler.look())
    host.set(**later)
    host.cpu(3_000_000_000)
    history.add(sampler.look())
    return history


def foretold() -> Prediction:
    return Prediction(
        path="a.parquet",
        captured_at="2026-01-01T00:00:00+00:00",
        policy="all",
        profile="6.18",
        knobs=KsmKnobs(),
        full_scans=4,
        settled=True,
        counters=KsmCounters(1, 256, 3, 4, 5, 6, 7, 512, 9, 10, 11, -4096),
        limits=[],
        elsewhere=None,
        processes={},
        born_until=None,
        groups={},
    )


def test_nothing_is_shown_of_nothing() -> None:
    assert cards(History(), foretold(), pages_text) == []


def test_the_cards_are_the_kernels_figures(host: LiveHost) -> None:
    found = shown(looked(host, pages_sharing=487))
    assert found["Merged away"].value == "2.00 MiB"
    assert found["Merged away"].history == [115, 512]
    assert found["Zero pages"].value == "100 KiB"
    assert found["general_profit"].value == "+429 KiB"
    # 897 items of 64 bytes.
    assert found["general_profit"].subtitle == "cost 56.1 KiB"
    assert found["sharing / shared"].value == "48.7"
    assert found["Merging"].value.startswith("+")
    assert found["Merging"].value.endswith("/s")
    assert found["ksmd CPU"].subtitle == "full_scans 7"
    assert found["ksmd CPU"].value.endswith("%")


def test_what_comes_apart_is_told_with_its_sign(host: LiveHost) -> None:
    assert shown(looked(host, pages_sharing=0))["Merging"].value.startswith("-")


def test_what_the_kernel_does_not_tell_is_no_zero(host: LiveHost) -> None:
    for name in ("ksm_zero_pages", "general_profit", "pages_scanned"):
        (host.ksm / name).unlink()
    host.gone(KSMD)
    history, sampler = History(), Sampler()
    for _ in range(2):
        history.add(sampler.look())
    found = shown(history)
    for label in ("Zero pages", "general_profit", "ksmd CPU"):
        assert found[label].value == "-", label
    assert found["Merging"].subtitle == "scanned -"
    assert history.last is not None
    labels = [part.label for part in parts(history.last.counters, pages_text)]
    assert labels == ["sharing", "shared", "volatile", "unshared"]


def test_one_look_has_no_speed(host: LiveHost) -> None:
    history = History()
    history.add(Sampler().look())
    found = shown(history)
    assert found["Merging"].value == "-"
    assert found["ksmd CPU"].value == "-"
    # Nobody shares anything yet: there is no ratio, and no division.
    host.set(pages_shared=0)
    history.add(Sampler().look())
    assert shown(history)["sharing / shared"].value == "-"


def test_a_prediction_is_called_one(host: LiveHost) -> None:
    found = shown(looked(host), foretold())
    assert found["Merged away"].subtitle == "predicted 3.00 MiB"
    assert found["Zero pages"].subtitle == "predicted 2.00 MiB"
    assert found["general_profit"].subtitle == "predicted -4.00 KiB"
    bar = parts(foretold().counters._asdict(), pages_text, "predicted ")
    assert [part.value for part in bar] == [256, 512, 1, 4, 3]
    assert bar[0].label == "predicted sharing"


def test_every_area_is_a_counter() -> None:
    assert {each.counter for each in STATES} <= set(KsmCounters._fields)
