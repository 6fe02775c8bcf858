import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_nni.data.json_lines import element_lines

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.sampled_from([None, 0, 2]))
def test_there_is_a_line_for_each_element(document, indent):
    lines = element_lines(json.dumps(document, indent=indent))
    lists = {key: value for key, value in document.items() if isinstance(value, list)}
    assert {key: len(value) for key, value in lines.items()} == {
        k: len(v) for k, v in lists.items()
    }
    for found in lines.values():
        assert found == sorted(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ('{"a": [1, 2,\n3],\n\n"b": 3, "c": [\n{"a": [5]}\n]}', {"a": [1, 1, 2], "c": [5]}),
        ('\n{"a": []}', {"a": []}),
        ('{"a": [1], "a": 2}', {}),
        ('{"a": 2, "a": \n[1]}', {"a": [2]}),
        ('{"\\u0061": ["x\\ny",\r\n"]"]}', {"a": [1, 2]}),
    ],
)
def test_lines_by_hand(text, expected):
    assert element_lines(text) == expected
