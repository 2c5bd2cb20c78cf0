import contextlib
import json
import stat
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from builders import Proc, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results import HOSTILE, empty, equal, result

from analyzer.result import RESULT_KEY, TABLES, ReplayResult
from traces.errors import InputError, OutputError
from traces.schema import FORMAT_KEY, KIND_KEY
from traces.table import SEAL_KEY, seal


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "result.parquet"
    result().save(path)
    return path


@pytest.mark.parametrize("make", [result, empty, lambda: result(HOSTILE)])
def test_what_is_saved_is_loaded_again(make, tmp_path):
    before = make()
    before.save(tmp_path / "result.parquet")
    assert equal(before, ReplayResult.load(tmp_path / "result.parquet"))


def test_the_rows_are_the_processes_of_every_pass(saved):
    assert pl.read_parquet(saved).equals(result().process_passes)


def test_the_file_is_private_and_alone(saved):
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert list(saved.parent.iterdir()) == [saved]


def test_an_unwritable_place_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"missing.result\.parquet"):
        result().save(tmp_path / "missing" / "result.parquet")


def test_a_trace_is_not_a_result(tmp_path):
    trace = trace_file(tmp_path / "trace.parquet", Proc("AAB"))
    with pytest.raises(InputError, match="trace, expected a result"):
        ReplayResult.load(trace)


def test_any_other_parquet_file_is_not_a_result(tmp_path):
    path = tmp_path / "other.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(InputError, match="not a ksm-analyze result"):
        ReplayResult.load(path)


def rewritten(saved: Path, path: Path, changes: dict[bytes, bytes | None]) -> Path:
    """*saved* with another footer, as a foreign writer with good intent makes it."""
    table = pq.read_table(saved)
    values = dict(pq.ParquetFile(saved).metadata.metadata) | changes
    kept = {key: value for key, value in values.items() if value is not None}
    del kept[SEAL_KEY]
    kept[SEAL_KEY] = seal(kept).encode()
    schema = table.schema.remove_metadata()
    with pq.ParquetWriter(path, schema, store_schema=False) as file:
        file.write_table(table.replace_schema_metadata())
        file.add_key_value_metadata(kept)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({KIND_KEY: b"elephant"}, "elephant, expected a result"),
        ({FORMAT_KEY: b"1"}, "result format 1, expected 3"),
        ({FORMAT_KEY: b"\xff"}, "result format"),
        ({RESULT_KEY: None}, "damaged"),
        ({RESULT_KEY: b"[]"}, "expected an object"),
        ({RESULT_KEY: b"{}"}, "has no 'profile'"),
        ({RESULT_KEY: b"[" * 100_000}, "damaged"),
        ({b"ksm_analyze.table.kinds.0": None}, "no table 'kinds'"),
        ({b"ksm_analyze.table.kinds.0": b"!"}, "'kinds' is damaged"),
    ],
)
def test_a_damaged_footer_is_told_in_one_line(saved, tmp_path, changes, message):
    path = rewritten(saved, tmp_path / "damaged.parquet", changes)
    with pytest.raises(InputError, match=message) as caught:
        ReplayResult.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("savings", "pages_saved_zero", 1.5),
        ("counters", "pages_shared", True),
        ("trace", "limits", [1]),
        ("trace", "path", None),
        ("knobs", "pages_to_scan", 0),
        ("knobs", "smart_scan", 1),
    ],
)
def test_a_value_of_another_type_is_refused(saved, tmp_path, part, name, value):
    values = json.loads(pq.ParquetFile(saved).metadata.metadata[RESULT_KEY])
    values[part][name] = value
    changed = json.dumps(values).encode()
    path = rewritten(saved, tmp_path / "damaged.parquet", {RESULT_KEY: changed})
    with pytest.raises(InputError, match=name):
        ReplayResult.load(path)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_gives_anything_but_an_input_error(saved, tmp_path, data):
    content = bytearray(saved.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else None
    path = tmp_path / "damaged.parquet"
    path.write_bytes(bytes(content[:cut]))
    with contextlib.suppress(InputError):
        ReplayResult.load(path)


def test_every_table_has_its_columns():
    full = result()
    for name, columns in TABLES.items():
        assert tuple(getattr(full, name).columns) == columns
