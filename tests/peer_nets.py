"""Other projects' nets in torch, written from their descriptions, not from our layers, and a writer
of `.t7` files. Images are (N, H, W, 3) in [0, 1], in and out. Outputs are clipped, and rounded up
in size as in those nets.
"""

import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Padded(nn.Module):
    """Reflection padding, then a convolution, under pytorch/examples' name for it."""

    def __init__(self, cin, cout, size, stride=1, double=False):
        super().__init__()
        self.conv2d, self.size, self.double = nn.Conv2d(cin, cout, size, stride), size, double

    def forward(self, x):
        x = F.interpolate(x, scale_factor=2, mode="nearest") if self.double else x
        return self.conv2d(F.pad(x, [self.size // 2] * 4, mode="reflect"))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.in1 = Padded(width, width, 3), nn.InstanceNorm2d(width, affine=True)
        self.conv2, self.in2 = Padded(width, width, 3), nn.InstanceNorm2d(width, affine=True)

    def forward(self, x):
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))


class PytorchExamples(nn.Module):
    """fast_neural_style's TransformerNet; its state dict has the published keys."""

    def __init__(self, a=32, b=64, c=128):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Padded(3, a, 9), Padded(a, b, 3, 2), Padded(b, c, 3, 2)
        self.deconv1, self.deconv2 = Padded(c, b, 3, double=True), Padded(b, a, 3, double=True)
        self.deconv3 = Padded(a, 3, 9)
        for i, width in enumerate((a, b, c, b, a), start=1):
            setattr(self, f"in{i}", nn.InstanceNorm2d(width, affine=True))
        for i in range(1, 6):
            setattr(self, f"res{i}", Residual(c))

    def forward(self, x):
        x = 255 * x.permute(0, 3, 1, 2)
        for i in (1, 2, 3):
            x = F.relu(getattr(self, f"in{i}")(getattr(self, f"conv{i}")(x)))
        for i in range(1, 6):
            x = getattr(self, f"res{i}")(x)
        x = F.relu(self.in5(self.deconv2(F.relu(self.in4(self.deconv1(x))))))
        return (self.deconv3(x).permute(0, 2, 3, 1) / 255).clamp(0, 1)


def lengstrom(variables, x):
    """Computes fast-style-transfer's net, as convolutions over images that are padded and filled
    with zeros by hand."""
    v = [torch.as_tensor(variables[f"Variable_{i}" if i else "Variable"]) for i in range(48)]
    x = 255 * x.permute(0, 3, 1, 2)

    def normed(x, i):
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
        shift, scale = (v[i + j].reshape(1, -1, 1, 1) for j in (1, 2))
        return (x - mean) / torch.sqrt(var + 1e-3) * scale + shift

    def layer(x, i, stride=1):
        kernel = v[i].permute(3, 2, 0, 1)
        totals = [
            max((-(-n // stride) - 1) * stride + kernel.shape[-1] - n, 0) for n in x.shape[:1:-1]
        ]
        x = F.pad(x, [p for t in totals for p in (t // 2, t - t // 2)])
        return normed(F.conv2d(x, kernel, stride=stride), i)

    def transposed(x, i):
        n, c, h, w = x.shape
        wide = torch.zeros((n, c, 2 * h - 1, 2 * w - 1), dtype=x.dtype)
        wide[:, :, ::2, ::2] = x
        kernel = v[i].permute(2, 3, 0, 1).flip(2, 3)  # [h, w, out, in]
        return normed(F.conv2d(F.pad(wide, (2, 1, 2, 1)), kernel), i)

    x = F.relu(layer(F.relu(layer(F.relu(layer(x, 0)), 3, 2)), 6, 2))
    for i in range(9, 39, 6):
        x = x + layer(F.relu(layer(x, i)), i + 3)
    x = F.relu(transposed(F.relu(transposed(x, 39)), 42))
    return ((torch.tanh(layer(x, 45)) * 150 + 127.5).permute(0, 2, 3, 1) / 255).clamp(0, 1)


def lengstrom_shapes(a=32, b=64, c=128):
    """Returns the shapes of the 48 variables, in order."""
    kernels = [
        (9, 9, 3, a),
        (3, 3, a, b),
        (3, 3, b, c),
        *[(3, 3, c, c)] * 10,
        (3, 3, b, c),
        (3, 3, a, b),
        (9, 9, a, 3),
    ]
    widths = [a, b, c, *[c] * 10, b, a, 3]
    return [
        s
        for kernel, width in zip(kernels, widths, strict=True)
        for s in (kernel, (width,), (width,))
    ]


class Shaved(nn.Module):
    """The authors' residual block: unpadded convolutions, the skip cropped by 2; or padded by 1."""

    def __init__(self, width, norm, pad):
        super().__init__()
        self.pad = pad
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=pad),
            norm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=pad),
            norm(width),
        )

    def forward(self, x):
        return self.body(x) + (x if self.pad else x[:, :, 2:-2, 2:-2])


class Johnson(nn.Module):
    """models.lua's net for c9s1-A,dB,dC,RC…,uB,uA,c9s1-3, with preprocess.lua around it."""

    def __init__(self, a, b, c, blocks=5, norm=nn.BatchNorm2d, start=True):
        super().__init__()
        self.arch = f"c9s1-{a},d{b},d{c}," + f"R{c}," * blocks + f"u{b},u{a},c9s1-3"
        self.start = 8 * blocks if start else 0

        def up(i, o):
            return nn.ConvTranspose2d(i, o, 3, 2, 1, output_padding=1)

        residual = [Shaved(c, norm, int(not start)) for _ in range(blocks)]
        parts = [
            nn.Conv2d(3, a, 9, padding=4),
            norm(a),
            nn.ReLU(),
            nn.Conv2d(a, b, 3, 2, 1),
            norm(b),
            nn.ReLU(),
            nn.Conv2d(b, c, 3, 2, 1),
            norm(c),
            nn.ReLU(),
            *residual,
            up(c, b),
            norm(b),
            nn.ReLU(),
            up(b, a),
            norm(a),
            nn.ReLU(),
            nn.Conv2d(a, 3, 9, padding=4),
        ]
        self.body = nn.Sequential(*parts)

    def forward(self, x):
        mean = torch.tensor([103.939, 116.779, 123.68])
        x = (255 * x.flip(-1) - mean).permute(0, 3, 1, 2)
        x = torch.tanh(self.body(F.pad(x, [self.start] * 4, mode="reflect"))) * 150
        return ((x.permute(0, 2, 3, 1) + mean) / 255).flip(-1).clamp(0, 1)


def randomized(net, seed=0):
    """Returns the net with an output of some contrast, and with parameters and statistics of which
    none has a special value."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            spread = torch.rand(value.shape, generator=generator) - 0.5
            scales = value.ndim == 1 and name.endswith(("weight", "running_var"))
            value.copy_(
                1 + spread
                if scales
                else spread * 3 / np.sqrt(value[0].numel())
                if value.ndim > 1
                else spread
            )
    return net.eval()


class Lua:
    """A value of a Torch class in a `.t7` file."""

    def __init__(self, kind, **fields):
        self.kind, self.fields = kind, fields


class Shared:
    """A value with its own number, which an `Again` of that number refers to."""

    def __init__(self, number, value):
        self.number, self.value = number, value


class Again:
    def __init__(self, number):
        self.number = number


class Raw(bytes):
    """A value as the bytes that stand for it."""

    @classmethod
    def tensor_on_a_tensor(cls):
        """Returns four numbers of a tensor that shows four with stride 0 and holds one."""

        def opened(number, kind):
            kind = f"torch.Float{kind}".encode()
            named = struct.pack("<ii", 4, number) + struct.pack("<i", 3) + b"V 1"
            return named + struct.pack("<i", len(kind)) + kind

        inner = opened(5002, "Tensor") + struct.pack("<i3q", 1, 4, 0, 1)
        inner += opened(5003, "Storage") + struct.pack("<q4f", 4, 1, 2, 3, 4)
        return cls(opened(5001, "Tensor") + struct.pack("<i3q", 1, 4, 1, 1) + inner)


def write_t7(path, value, kind="Float"):
    """Writes Torch7's binary serialization of numbers, booleans, strings, tables (dicts and lists),
    arrays, as tensors of `kind` (Float or CudaHalf), and `Lua` objects;
    https://github.com/torch/torch7/blob/master/doc/serialization.md."""
    out, count = bytearray(), iter(range(1, 10**6))

    def string(text):
        return struct.pack("<i", len(text.encode())) + text.encode()

    def put(v):
        nonlocal out
        if isinstance(v, Raw):
            out += v
        elif isinstance(v, Again):
            out += struct.pack("<ii", 4, v.number)
        elif isinstance(v, Shared):
            out += struct.pack("<ii", 4, v.number) + string("V 1") + string(v.value.kind)
            put(v.value.fields)
        elif v is None:
            out += struct.pack("<i", 0)
        elif isinstance(v, bool):
            out += struct.pack("<ii", 5, v)
        elif isinstance(v, int | float):
            out += struct.pack("<id", 1, v)
        elif isinstance(v, str):
            out += struct.pack("<i", 2) + string(v)
        elif isinstance(v, list | dict):
            items = v if isinstance(v, dict) else dict(enumerate(v, start=1))
            out += struct.pack("<iii", 3, next(count), len(items))
            for key, item in items.items():
                put(key)
                put(item)
        elif isinstance(v, np.ndarray):
            v = np.ascontiguousarray(v, np.float16 if kind == "CudaHalf" else np.float32)
            strides = [s // v.itemsize for s in v.strides]
            out += (
                struct.pack("<ii", 4, next(count)) + string("V 1") + string(f"torch.{kind}Tensor")
            )
            out += struct.pack(f"<i{2 * v.ndim + 1}q", v.ndim, *v.shape, *strides, 1)
            out += (
                struct.pack("<ii", 4, next(count)) + string("V 1") + string(f"torch.{kind}Storage")
            )
            out += struct.pack("<q", v.size) + v.tobytes()
        else:
            out += struct.pack("<ii", 4, next(count)) + string("V 1") + string(v.kind)
            put(v.fields)

    put(value)
    path.write_bytes(out)
    return path


def johnson_table(net, *, old=False):
    """Returns what train.lua saves of a `Johnson` net. `old` uses the running statistics of nn in
    2015."""

    def array(v):
        return v.detach().numpy()

    def module(m):
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            kind = "SpatialConvolution" if isinstance(m, nn.Conv2d) else "SpatialFullConvolution"
            return Lua(
                f"nn.{kind}",
                weight=array(m.weight),
                bias=array(m.bias),
                kW=m.kernel_size[0],
                train=False,
            )
        if isinstance(m, nn.InstanceNorm2d):
            return Lua(
                "nn.InstanceNormalization", weight=array(m.weight), bias=array(m.bias), eps=m.eps
            )
        if isinstance(m, nn.BatchNorm2d):
            var = array(m.running_var)
            spread = {"running_std": 1 / np.sqrt(var + m.eps)} if old else {"running_var": var}
            return Lua(
                "nn.SpatialBatchNormalization",
                weight=array(m.weight),
                bias=array(m.bias),
                eps=m.eps,
                running_mean=array(m.running_mean),
                **spread,
            )
        if isinstance(m, nn.Sequential):
            return Lua("nn.Sequential", modules=[module(part) for part in m])
        if isinstance(m, Shaved):
            skip = Lua("nn.Identity") if m.pad else Lua("nn.ShaveImage", size=2)
            concat = Lua("nn.ConcatTable", modules=[module(m.body), skip])
            return Lua("nn.Sequential", modules=[concat, Lua("nn.CAddTable", inplace=False)])
        return Lua("nn.ReLU", inplace=True)

    modules = module(net.body).fields["modules"]
    if net.start:
        pads = {f"pad_{side}": net.start for side in "lrtb"}
        modules.insert(0, Lua("nn.SpatialReflectionPadding", **pads))
    modules += [
        Lua("nn.Tanh"),
        Lua("nn.MulConstant", constant_scalar=150),
        Lua("nn.TotalVariation", strength=1e-6),
    ]
    options = {
        "arch": net.arch,
        "padding_type": "reflect-start" if net.start else "zero",
        "tanh_constant": 150,
        "preprocessing": "vgg",
        "style_image": "candy.jpg",
        "num_iterations": 40000,
    }
    return {
        "opt": options,
        "train_loss_history": [2.5, 1.5],
        "model": Lua("nn.Sequential", modules=modules),
    }
