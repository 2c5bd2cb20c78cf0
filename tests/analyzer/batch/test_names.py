import unicodedata
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from analyzer.batch.names import file_names

# Few letters, so that names are often alike; and anything a file can be called.
NAMES = st.lists(st.text("aA-1._/\u0301 ", max_size=4) | st.text(), max_size=20)


@given(NAMES)
def test_files_can_be_made_and_told_apart(names):
    found = file_names(names, ".html", ["summary.html"])
    assert len(found) == len(names)
    alike = Counter(unicodedata.normalize("NFC", name).casefold() for name in found)
    assert not alike or max(alike.values()) == 1
    for name in found:
        assert name.endswith(".html")
        assert not set(name) & set('/\0\\:*?"<>| \n\u202e')
        assert name[0] not in ".-"
        assert name != "summary.html"
        assert len(name.encode()) < 255


def test_ordinary_names_stay():
    names = ["web-1", "db_main", "core.4711", "日本", "Ünïcode"]
    assert file_names(names, ".md") == [f"{name}.md" for name in names]


def test_a_number_that_is_taken_is_passed_over():
    assert file_names(["a", "a-2", "a", "A"], "") == ["a", "a-2", "a-3", "A-4"]
