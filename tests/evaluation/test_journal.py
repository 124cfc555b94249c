import json

import pytest
from halfway import Halfway, meter

from lorair_cli.errors import LorairError, UsageError
from lorair_cli.evaluation.journal import Store
from lorair_cli.evaluation.measuring import measure


def test_results_that_cannot_be_kept(pairs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LorairError, match="cannot be written"):
        measure("set", pairs, Halfway().subject, meter(), Store(tmp_path / "file" / "results.jsonl"))


def test_strangers_in_the_results_file_are_passed_over(tmp_path, pairs):
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"key": "1", "unknown": 2}) + "\n[]\nnothing\n")
    records, _ = measure("set", pairs[:1], Halfway().subject, meter(), Store(file))
    assert Store(file).find(records[0].key) == records[0]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00{", b'{"a": 1}\n', b"notes\n\n"])
def test_a_file_of_something_else_is_no_journal(content, tmp_path):
    file = tmp_path / "photo.png"
    file.write_bytes(content)
    for store in (lambda: Store(file), lambda: Store(None, [file]), lambda: Store(None).take(file)):
        with pytest.raises(UsageError, match=r"photo\.png is no journal of measured pictures"):
            store()
    assert file.read_bytes() == content


def test_a_folder_is_no_journal(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        Store(tmp_path)


@pytest.mark.parametrize("content", ["", "\n", '{"key": "12', '{"key": "1", "field of a later version": 2}\n'])
def test_a_journal_with_nothing_to_use_goes_on(content, tmp_path, pairs):
    file = tmp_path / "r.jsonl"
    file.write_text(content)
    records, _ = measure("set", pairs[:1], Halfway().subject, meter(), Store(file))
    assert Store(file).find(records[0].key) == records[0] and file.read_text().startswith(content)


def test_shares_of_several_processes_make_the_whole(pairs, tmp_path):
    journals = [tmp_path / "r.jsonl", tmp_path / "r.1.jsonl"]
    for rank, journal in enumerate(journals):
        measure("set", pairs[rank::2], Halfway().subject, meter(), Store(journal, journals))
    store, tool = Store(journals[0]), Halfway()
    store.take(journals[1])
    whole, _ = measure("set", pairs, tool.subject, meter(), store)
    assert tool.calls == 0 and [r.image for r in whole] == ["a", "b"]
    assert len(journals[0].read_text().splitlines()) == 2
    store.take(journals[1])
    assert len(journals[0].read_text().splitlines()) == 2
