"""Line charts: the lines are there, in their colours, where their values are."""

import numpy as np
import pytest

from jaxpercept import images


def drawn(chart, color):
    """Returns rows and columns of a colour's pixels, without the legend."""
    rows, columns = np.nonzero(np.abs(chart - np.array(color) / 255).sum(-1) < 0.1)
    return rows[columns < 500], columns[columns < 500]


def test_a_chart_has_its_lines():
    line = images.Line("loss", [0, 1, 2], [100.0, 10.0, 1.0])
    chart = images.line_chart([line, line._replace(label="other", y=[1.0, 1.0, 1.0])])
    assert np.corrcoef(*drawn(chart, (0, 114, 178)))[0, 1] > 0.95  # straight on a logarithmic axis
    assert drawn(chart, (213, 94, 0))[0].min() > 350  # along the bottom
    assert np.ptp(drawn(images.line_chart([line], log=False), (0, 114, 178))[0]) > 200


def test_only_finite_points_are_drawn():
    flat = images.line_chart([images.Line("flat", [0], [0.0])])
    assert flat.shape == (480, 720, 3)
    with_nan = images.line_chart([images.Line("a", [0, 1, 2], [1.0, float("nan"), 1.5])])
    np.testing.assert_array_equal(
        with_nan, images.line_chart([images.Line("a", [0, 2], [1.0, 1.5])])
    )
    with pytest.raises(ValueError, match="no point"):
        images.line_chart([images.Line("a", [1], [float("nan")])])
