"""The losses and the whole objective (Johnson et al. 2016, section 3). Losses are one number per
image unless said otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jaxpercept.config import ObjectiveConfig
from jaxpercept.evaluation.torch_twin.nets import Tensors, vgg_features


def feature_loss(a: Tensor, b: Tensor) -> Tensor:
    """Returns equation 2, per image."""
    return torch.stack([functional.mse_loss(p, q) for p, q in zip(a, b, strict=True)])


def absolute_loss(a: Tensor, b: Tensor) -> Tensor:
    """Returns the mean absolute difference, per image."""
    return torch.stack([functional.l1_loss(p, q) for p, q in zip(a, b, strict=True)])


def hatch_loss(a: Tensor, b: Tensor) -> Tensor:
    """Averages up to 6×6 cells of 8 pixels by position, subtracts the mean over positions, and
    returns the mean square."""
    _, h, w, c = a.shape
    d = (a - b)[:, : h // 8 * 8, : w // 8 * 8].permute(0, 3, 1, 2)
    cells = functional.pixel_unshuffle(d, 8)
    means = functional.avg_pool2d(cells, (min(6, h // 8), min(6, w // 8)), stride=1).unflatten(
        1, (c, 64)
    )
    return (means - means.mean(2, keepdim=True)).pow(2).flatten(1).mean(1)


def _luma(x: Tensor) -> Tensor:
    return (x @ torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype))[:, None]


def _boxed(x: Tensor, axes: tuple[int, ...] = (2, 3)) -> Tensor:
    for axis in axes:
        ends = x.narrow(axis, 0, 4).flip(axis), x.narrow(axis, x.shape[axis] - 4, 4).flip(axis)
        kernel = [9 if i == axis else 1 for i in (2, 3)]
        padded = torch.cat([ends[0], x, ends[1]], axis)
        x = functional.avg_pool2d(padded, tuple(kernel), stride=1)
    return x


def _smoothness(b: Tensor) -> Tensor:
    luma = 255 * _luma(b)
    return torch.exp(-_boxed((luma - _boxed(luma)) ** 2) / 18)


def flat_loss(a: Tensor, b: Tensor) -> Tensor:
    """Returns the mean absolute difference, weighted by exp(-v / 18). Here v is the mean square
    over 9×9 pixels of b's luma (0-255) minus its 9×9 mean."""
    return (_smoothness(b)[:, 0, :, :, None] * (a - b).abs()).flatten(1).mean(1)


def weave_loss(a: Tensor, b: Tensor) -> Tensor:
    """Takes the second difference of the luma of a - b along one axis, averaged over 9 pixels of
    the other, for both axes. Returns its mean absolute value, weighted as in `flat_loss`."""
    luma, weight = _luma(a - b), _smoothness(b)
    rows = (2 * luma[:, :, 1:-1] - luma[:, :, :-2] - luma[:, :, 2:]) / 4
    columns = (2 * luma[..., 1:-1] - luma[..., :-2] - luma[..., 2:]) / 4
    parts = (
        weight[:, :, 1:-1] * _boxed(rows, (3,)).abs(),
        weight[..., 1:-1] * _boxed(columns, (2,)).abs(),
    )
    return sum(part.flatten(1).mean(1) for part in parts)


def dark_loss(a: Tensor, b: Tensor) -> Tensor:
    """Averages the lumas over cells of 16×16 pixels. Returns the mean square of what a's is above
    b's, weighted by 1 - b / 0.2."""
    ours, photo = (functional.avg_pool2d(_luma(x), 16) for x in (a, b))
    weight = (1 - photo / 0.2).clamp(0, 1)
    return (weight * (ours - photo).clamp(min=0) ** 2).flatten(1).mean(1)


def stability_loss(
    second: Tensor, first: Tensor, second_input: Tensor, first_input: Tensor, flow: Tensor
) -> Tensor:
    """Returns the mean square of second - W(first) - luma(second_input - W(first_input)) over
    channels and the pixels where the flow W, (N, H, W, 2) to the right and down, leads inside."""
    n, h, w, channels = second.shape
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], -1)

    def moved(picture: Tensor) -> Tensor:
        sampled = functional.grid_sample(
            picture.permute(0, 3, 1, 2), grid, padding_mode="reflection", align_corners=True
        )
        return sampled.permute(0, 2, 3, 1)

    changed = _luma(second_input - moved(first_input)).reshape(n, h, w, 1)
    apart = (second - moved(first) - changed) ** 2
    seen = ((x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1))[..., None]
    return (seen * apart).flatten(1).sum(1) / (channels * seen.flatten(1).sum(1).clamp(min=1))


def gram_matrix(f: Tensor) -> Tensor:
    """Returns equation 3, (N, C, C)."""
    n, h, w, c = f.shape
    psi = f.permute(0, 3, 1, 2).reshape(n, c, h * w)
    return torch.bmm(psi, psi.transpose(1, 2)) / (c * h * w)


def style_loss(g: Tensor, g_style: Tensor, convention: str) -> Tensor:
    """Returns equation 4, per image, or for "reference" nn.MSECriterion."""
    reduction = "mean" if convention == "reference" else "sum"
    return torch.stack(
        [
            functional.mse_loss(p, q, reduction=reduction)
            for p, q in zip(g, g_style.expand_as(g), strict=True)
        ]
    )


def total_variation(x: Tensor, convention: str) -> Tensor:
    """Returns Σ dx² + dy² over the common window, per image, or for "reference" the potential of
    TotalVariation.lua's gradient."""
    dx, dy = x[:, :-1, 1:] - x[:, :-1, :-1], x[:, 1:, :-1] - x[:, :-1, :-1]
    total = torch.stack([p.pow(2).sum() + q.pow(2).sum() for p, q in zip(dx, dy, strict=True)])
    return total / 2 if convention == "reference" else total


def objective(
    config: ObjectiveConfig, vgg: Tensors, style: Tensor, output: Tensor, target: Tensor
) -> Tensor:
    """Returns the whole weighted objective, averaged over the batch. `style`, (1, H, W, 3), is the
    style image."""
    n, weights = output.shape[0], config.weights
    layers = (*config.content_layers, *config.style_layers)
    features, content = (
        vgg_features(vgg, output, layers),
        vgg_features(vgg, target, config.content_layers),
    )
    grams = {j: gram_matrix(f) for j, f in vgg_features(vgg, style, config.style_layers).items()}
    total = torch.zeros(n, dtype=output.dtype)
    for j in config.content_layers:
        total = total + weights.get("content", 0) * feature_loss(features[j], content[j].detach())
    for j in config.style_layers:
        total = total + weights.get("style", 0) * style_loss(
            gram_matrix(features[j]), grams[j], config.losses
        )
    tv = total_variation(255 * output, config.losses)
    total = total + weights.get("tv", 0) * (n * tv if config.losses == "reference" else tv)
    total = total + weights.get("pixel", 0) * feature_loss(255 * output, 255 * target)
    total = total + weights.get("hatch", 0) * (
        hatch_loss(255 * output, 255 * target) if "hatch" in weights else 0
    )
    if "flat" in weights:
        total = total + weights["flat"] * 255 * flat_loss(output, target)
    if "weave" in weights:
        total = total + weights["weave"] * 255 * weave_loss(output, target)
    if "dark" in weights:
        total = total + weights["dark"] * 255**2 * dark_loss(output, target)
    return (total + weights.get("l1", 0) * absolute_loss(255 * output, 255 * target)).mean()
