"""A web app with a server, ready for a Hugging Face Space: `pip install gradio`, then `python
examples/gradio_app.py`. `python -m jaxpercept web` makes a page that needs no server.
"""

import gradio
import numpy as np

import jaxpercept as jp
from jaxpercept import images
from jaxpercept.nets import shipped


def paint(photo: np.ndarray, style: str, strength: float, keep_color: bool, size: int):
    """Paints `photo`, uint8 (H, W, 3), at most `size` pixels on its longer side."""
    x = images.to_float(photo)
    x = images.resize(x, min(size, max(x.shape[:2])), "long")
    model = jp.load_model(style)
    y = np.asarray(model(images.grain(x, model.grain)[None]))[0]
    return images.to_uint8(images.controlled(y, x, strength=strength, keep_color=keep_color))


app = gradio.Interface(
    paint,
    [
        gradio.Image(label="Photo"),
        gradio.Dropdown(shipped.styles(), value="starry_night", label="Style"),
        gradio.Slider(0, 1, value=1, label="Strength"),
        gradio.Checkbox(label="Keep the photo's colours"),
        gradio.Slider(128, 1024, value=512, step=64, label="Longer side, pixels"),
    ],
    gradio.Image(label="Painting", format="png"),
    title="Photos to paintings",
    flagging_mode="never",
)

if __name__ == "__main__":
    app.launch()
