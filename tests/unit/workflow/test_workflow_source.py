"""Reading workflow files: YAML 1.2, lines kept, everything bounded."""

import pytest

from docflow.workflow.source import MAX_FILE_BYTES, WorkflowFileError, read_source


def problems_of(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(WorkflowFileError) as caught:
        read_source(data, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


class TestWhatComesOut:
    def test_words_that_yaml_1_1_takes_for_booleans_stay_text(self) -> None:
        assert read_source(b"on: off\nyes: no", "f").data == {"on": "off", "yes": "no"}

    def test_only_plain_values_come_out_and_sequences_are_tuples(self) -> None:
        data = read_source(b"a: [1, 2.5, true, null, ~, x, 2026-01-01]\nb: {c: -3}", "f").data
        assert data == {"a": (1, 2.5, True, None, None, "x", "2026-01-01"), "b": {"c": -3}}

    def test_a_number_too_long_for_json_stays_text(self) -> None:
        assert read_source(b"a: 99999999999999999999", "f").data == {"a": "9" * 20}

    def test_infinity_is_not_a_number(self) -> None:
        assert read_source(b"a: .inf", "f").data == {"a": ".inf"}

    def test_every_key_and_item_keeps_its_line(self) -> None:
        source = read_source(b"a: 1\nb:\n  c: x\n  d:\n    - y\n    - z\n", "f")
        assert source.line(("b", "c")) == 3
        assert source.line(("b", "d", 1)) == 6

    def test_a_path_without_a_line_gets_that_of_what_is_around_it(self) -> None:
        source = read_source(b"a: 1\nb:\n  c: x\n", "f")
        assert source.line(("b", "c", "from", 0)) == 3
        assert source.line(("nowhere",)) == 1

    def test_a_byte_order_mark_is_no_part_of_the_text(self) -> None:
        assert read_source(b"\xef\xbb\xbfa: 1", "f").data == {"a": 1}


class TestWhatIsRefused:
    def test_a_repeated_key_names_both_lines(self) -> None:
        assert problems_of("a: 1\nb: 2\na: 3\n") == [
            "f.yaml:3: the key 'a' is already on line 1; keep one"
        ]

    def test_every_repeated_key_is_reported(self) -> None:
        assert len(problems_of("a: 1\na: 2\nb: {c: 1, c: 2}\n")) == 2

    @pytest.mark.parametrize("text", ["a: &x 1\nb: *x\n", "a: &x {b: 1}\n", "&r a: 1\n"])
    def test_anchors_and_aliases(self, text: str) -> None:
        assert "anchors and aliases" in problems_of(text)[0]

    def test_an_alias_bomb_before_it_is_built(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        assert problems_of("\n".join(lines)) == [
            "f.yaml:1: anchors and aliases (& and *) are not read; write the value out"
        ]

    def test_tags(self) -> None:
        assert problems_of("a: 1\nb: !!python/object/apply:os.system [ls]\n")[0].startswith(
            "f.yaml:2: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not read"
        )

    def test_directives(self) -> None:
        assert "YAML directives are not read" in problems_of("%YAML 1.1\n---\na: on\n")[0]

    def test_a_second_document(self) -> None:
        assert problems_of("a: 1\n---\nb: 2\n")[0].startswith("f.yaml:2: a second YAML document")

    def test_deep_nesting(self) -> None:
        assert "nested deeper than 12 levels" in problems_of("[" * 5000)[0]

    def test_too_many_values(self) -> None:
        assert "more than 20000 values" in problems_of("- x\n" * 20_001)[0]

    def test_too_many_bytes(self) -> None:
        assert f"larger than {MAX_FILE_BYTES} bytes" in problems_of(b"#" * (MAX_FILE_BYTES + 1))[0]

    def test_the_largest_file_is_read(self) -> None:
        assert read_source(b"a: 1\n" + b"#" * (MAX_FILE_BYTES - 5), "f").data == {"a": 1}

    def test_bytes_that_are_not_utf_8_name_their_line(self) -> None:
        assert problems_of(b"a: 1\nb: \xff\n") == [
            "f.yaml:2: the file is not UTF-8 text; save it as UTF-8"
        ]

    def test_an_empty_file(self) -> None:
        assert problems_of("# nothing\n") == ["f.yaml:1: the file is empty; write a workflow"]

    def test_broken_yaml_names_its_line(self) -> None:
        assert problems_of("a: 1\nb: [1,\n")[0].startswith("f.yaml:3: the file is not YAML: ")

    @pytest.mark.parametrize("text", ["1: x\n", "true: x\n", "~: x\n"])
    def test_keys_that_are_not_names(self, text: str) -> None:
        assert "cannot be a key; keys are names" in problems_of(text)[0]

    def test_a_list_as_a_key(self) -> None:
        assert problems_of("? [a]\n: b\n") == [
            "f.yaml:1: a list or mapping cannot be a key; keys are names"
        ]

    def test_control_characters(self) -> None:
        assert "special characters are not allowed" in problems_of("a: \x07b\n")[0]


def test_the_error_counts_and_lists_its_problems() -> None:
    with pytest.raises(WorkflowFileError) as caught:
        read_source(b"a: 1\na: 2\na: 3\n", "f.yaml")
    assert caught.value.code == "workflow-invalid"
    assert caught.value.detail.splitlines()[0] == "2 problems in the workflow files:"
    assert caught.value.extra["problems"] == [str(p) for p in caught.value.problems]
