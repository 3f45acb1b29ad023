"""The weave: its measure, and the shipped nets on the noise probe."""

import numpy as np
import pytest
from helpers import noise

from benchmarks import superres_peers, weave
from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.evaluation import superres
from jaxpercept.images import resampling
from jaxpercept.inference import tiles, upscaling

GREY = np.full((128, 128, 3), 128, np.uint8)


def drawn(luma):
    """Returns a picture of this luma (16-235) around that of GREY, unrounded, as uint8 never is."""
    return GREY + np.repeat(luma[..., None] * 255 / 219, 3, -1)


def test_noise_has_no_direction():
    found = weave.weave([(drawn(np.random.default_rng(0).normal(0, 2, (128, 128))), GREY)])
    assert found["x_band"] == pytest.approx(2 * 0.42, rel=0.05)
    assert found["aniso"] == pytest.approx(1, rel=0.1)
    assert found["windows"] == 13**2


@pytest.mark.parametrize(("period", "seen"), [(3, 1), (2.5, 1), (6, 0), (16, 0)])
def test_stripes_along_an_axis(period, seen):
    """Stripes of amplitude 1 have RMS 0.71; other periods count nothing."""
    stripes = np.sin(2 * np.pi * np.arange(128) / period) * np.ones((128, 1))
    for turned in (stripes, stripes.T):
        found = weave.weave([(drawn(turned), GREY)])
        assert found["x_band"] == pytest.approx(0.71 * seen, abs=0.05)
        assert not seen or found["aniso"] > 1000


def test_stripes_along_a_diagonal_are_not_the_weave():
    rows = 2 * np.pi * np.arange(128) / 3
    found = weave.weave([(drawn(np.sin(rows[:, None] + rows)), GREY)])
    assert found["x_band"] < 0.01
    assert found["aniso"] < 0.01


def test_only_smooth_windows_count():
    busy = GREY.copy()
    busy[::2, :64] = 0
    found = weave.weave([(GREY, busy)])
    assert found["windows"] == 13 * 5
    with pytest.raises(InputError, match="smooth enough"):
        weave.weave([(GREY[:, :64], busy[:, :64])])


@pytest.mark.parametrize("name", ["x4-pixel", "x4-feature", "x8-pixel", "x8-feature"])
def test_nets_do_not_draw_noise_as_stripes(name):
    """The first x4-feature had 1.06 and 87, an earlier x8-feature 0.14 and 3.9."""
    net = upscaling.load_upscaler(name)
    found = weave.probe(lambda x: tiles.run(net, x), net.config.scale)
    assert found["x_band"] <= 0.3
    assert found["aniso"] <= 2


def test_peers_are_scored_as_evaluate_superres_scores(tmp_path, monkeypatch):
    """An RGB file with grey content is no grey file."""
    grey = (255 * noise(0, 64, 64)[..., :1]).astype(np.uint8).repeat(3, -1)
    images.save_image(tmp_path / "rgb.png", grey)
    monkeypatch.setattr(superres_peers.evaluation, "feature_distance", lambda layers: lambda *_: {})
    monkeypatch.setattr(superres_peers.weave, "weave", lambda pairs: {})
    outputs = []

    def upscale(small):
        outputs.append(resampling.upscale(small[None], 4)[0])
        return outputs[-1]

    files = [tmp_path / "rgb.png"]
    found = superres_peers.scores(list(weave.measure(files, 4, upscale)), files)
    expected = [
        superres.score(images.to_uint8(outputs[0]), grey, 4, grey=as_grey)["psnr"]
        for as_grey in (False, True)
    ]
    assert found["psnr"] == expected[0] != expected[1]


def test_the_sheet_shows_the_centres_of_every_net_enlarged(tmp_path):
    picture = np.zeros((240, 200, 3), np.uint8)
    picture[116:124, 96:104] = 255  # the centre
    images.save_image(tmp_path / "a.png", picture)
    nets = {"black": lambda x: np.zeros((240, 200, 3)), "white": lambda x: np.ones((240, 200, 3))}
    made = {name: list(weave.measure([tmp_path / "a.png"], 4, net)) for name, net in nets.items()}
    sheet = superres_peers.sheet(made, 3)
    side = superres_peers.CENTRE // 3 * 3
    assert sheet.shape[1] == 3 * side + 4 * 8
    row = sheet[-8 - side // 2]
    assert [row[8 + side // 2 + i * (side + 8)].mean() for i in range(3)] == [1, 0, 1]
    assert (row[8 : 8 + side].mean(-1) > 0.5).sum() == 24  # eight pixels, three times as large
