"""What is drawn at the sides of a sheet."""

from fromnoise.jobs.worker.sheets import drawn_labels


def test_labels_are_drawn_as_they_are_or_as_was_asked_for() -> None:
    body = {"columns": ["Steps: 1", "Steps: 3"], "labels": {"Steps: 1": "步数：1"}}
    assert drawn_labels(body, "columns") == ("步数：1", "Steps: 3")
    assert drawn_labels({"columns": ["Steps: 1"]}, "columns") == ("Steps: 1",)


def test_a_side_without_labels_is_blank() -> None:
    assert drawn_labels({}, "rows") == ("",)
    assert drawn_labels({"columns": []}, "columns", 3) == ("", "", "")
