"""What sources are called in a summary."""

from analyzer.report.batch.table import short_names


def test_the_folder_all_lie_in_is_left_out():
    assert short_names(["/a/b/c", "/a/b/d/e"]) == {"/a/b/c": "c", "/a/b/d/e": "d/e"}
    assert short_names(["/a/bc/x", "/a/bd/x"]) == {"/a/bc/x": "bc/x", "/a/bd/x": "bd/x"}


def test_what_has_none_in_common_stays():
    for sources in (["/a/b"], ["web", "db"], ["/a/x", "b/x"], ["x", "a/x"], []):
        assert short_names(sources) == {source: source for source in sources}
