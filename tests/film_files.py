"""Films for tests: written by PyAV, and read back."""

from fractions import Fraction

import numpy as np

TIMES = [0, 40, 100, 120, 300, 340]  # milliseconds


def pictures(count, height=48, width=64):
    """Returns frames in which a pattern moves to the right by a pixel per frame."""
    tiles = np.random.default_rng(0).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3))
    base = tiles.astype(np.uint8).repeat(8, 0).repeat(8, 1)[:height, :width]
    return [np.ascontiguousarray(np.roll(base, i, 1)) for i in range(count)]


def film(
    av, path, *, frames=None, times=TIMES, sound=None, pix="yuv420p", codec="libx264", **about
):
    """Writes a film of `frames`, shown at `times` in milliseconds; `about` is for its codec."""
    frames = pictures(len(times)) if frames is None else frames
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"crf": "1"})
        stream.height, stream.width = frames[0].shape[:2]
        context = stream.codec_context
        stream.pix_fmt, context.time_base = pix, Fraction(1, 1000)
        for name, value in about.items():
            setattr(context, name, value)
        noise = out.add_stream(sound, rate=48000) if sound else None
        matrix = {"dst_colorspace": {1: 1, 9: 9}.get(about.get("colorspace"), 5)}
        matrix["dst_color_range"] = about.get("color_range", 1)
        for pixels, time in zip(frames, times, strict=True):
            kind = "rgb24" if pixels.shape[2] == 3 else "rgba"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame = frame.reformat(format=pix, src_color_range=2, interpolation=0x46004, **matrix)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if noise:
            for i in range(18):
                wave = np.sin(np.arange(1024 * i, 1024 * (i + 1)) / 20).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(wave[None] / 3, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 48000, 1024 * i
                out.mux(noise.encode(frame))
            out.mux(noise.encode(None))
    return path


def times(av, path):
    """Returns when the frames are shown, in milliseconds."""
    with av.open(str(path)) as container:
        return [round(1000 * f.time) for f in container.decode(video=0)]


def sound(av, path):
    """Returns the packets of the sound."""
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(audio=0) if p.size]
