"""A measure is a function of sums, and any part of it can be measured again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pixtell.evaluation.metrics.bleu import bleu
from pixtell.evaluation.metrics.measure import mean_of


def test_a_mean() -> None:
    measure = mean_of("share", [1.0, 0.0, 0.5, 0.5])
    assert (measure.name, len(measure), measure.value) == ("share", 4, 0.5)
    assert measure.items_N.tolist() == [1.0, 0.0, 0.5, 0.5]


def test_nothing_measured_is_nan() -> None:
    assert math.isnan(mean_of("share", []).value)
    assert all(math.isnan(measure.value) for measure in bleu([], []))


def test_a_part_is_measured_alone() -> None:
    measure = mean_of("share", [1.0, 0.0, 0.25])
    part = measure.select([2, 0])
    assert (part.value, part.items_N.tolist(), part.name) == (0.625, [0.25, 1.0], "share")
    assert measure.select([1, 1, 1]).value == 0.0
    assert measure.value == pytest.approx(1.25 / 3), "the whole is left as it was"


def test_a_part_of_a_corpus_metric_is_that_of_its_texts() -> None:
    candidates = ["a dog runs on the grass", "two cats", "a red bus in the street"]
    references = [["a dog runs on grass"], ["two cats sit"], ["the red bus in a street", "a bus"]]
    parts = [measure.select([0, 2]) for measure in bleu(candidates, references)]
    alone = bleu([candidates[0], candidates[2]], [references[0], references[2]])
    assert [part.value for part in parts] == [measure.value for measure in alone]
    assert parts[3].value != pytest.approx(np.mean(parts[3].items_N)), "BLEU is no mean"


def test_sums_of_many_resamples_are_combined_at_once() -> None:
    measure = mean_of("share", [1.0, 0.0, 0.5])
    sums = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [5.0, 5.0]]])
    assert measure.combine(sums).tolist() == [[0.5, 0.75], [0.0, 1.0]]
