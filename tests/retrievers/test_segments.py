"""The quick sums against the obvious ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnemon.retrievers.segments import groups_of, mean_of_best, near_sums


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.floats(-2, 2, width=16), st.booleans()), min_size=0, max_size=40
    ),
    top=st.integers(1, 4),
)
def test_mean_of_best_is_the_mean_of_the_best(rows, top):
    group = np.array([row[0] for row in rows], np.int64)
    values = np.array([row[1] for row in rows], np.float64)
    counted = np.array([row[2] for row in rows], np.bool_)
    kept = values.copy()
    found = mean_of_best(values, groups_of(group, 6, counted), top)
    for number in range(6):
        held = sorted((v for g, v, c in rows if g == number and c), reverse=True)[:top]
        assert abs(found[number] - (sum(held) / len(held) if held else 0.0)) < 1e-9
    np.testing.assert_array_equal(values, kept)


@given(
    data=st.data(),
    borders=st.sets(st.integers(1, 199)),
    kernel=st.sampled_from([(1.0,), (1.0, 0.5), (1.0, 0.7, 0.2)]),
)
def test_near_sums_are_sums_over_neighbours_of_the_same_session(data, borders, kernel):
    n = 200
    found = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1)))), np.int64)
    held = np.array([data.draw(st.integers(1, 5)) for _ in found], np.float64)
    session = np.cumsum([row in borders for row in range(n)])
    links = {}
    for step in range(-2, 3):
        there = [row + step for row in range(n)]
        links[step] = np.array(
            [at if 0 <= at < n and session[at] == session[row] else n for row, at in enumerate(there)] + [n]
        )
    scratch = np.zeros(n + 1)
    touched, sums = near_sums(links, found, held, kernel, scratch)
    count = dict(zip(found.tolist(), held.tolist(), strict=True))
    expected = {}
    for row in range(n):
        near = {
            at: abs(at - row)
            for at in range(n)
            if session[at] == session[row] and abs(at - row) < len(kernel)
        }
        total = sum(kernel[distance] * count.get(at, 0.0) for at, distance in near.items())
        if total:
            expected[row] = total
    got = np.zeros(n + 1)
    got[touched] = sums
    assert got[n] == 0
    np.testing.assert_allclose(got[:n], [expected.get(row, 0.0) for row in range(n)])
    assert not scratch.any()
