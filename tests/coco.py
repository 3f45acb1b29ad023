"""A dataset with the features of COCO 2014. Importing it imports TFDS."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


class Coco(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # TFDS has its own
    """COCO 2014's features with three small images, which `tfds:coco/2014` reads."""

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2014")]  # noqa: RUF012
    code_path = None

    def _info(self):
        objects = {
            "id": np.int64,
            "area": np.int64,
            "bbox": tfds.features.BBoxFeature(),
            "is_crowd": np.bool_,
        }
        objects["label"] = tfds.features.ClassLabel(num_classes=80)
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(objects),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 3), "validation": self._generate_examples(3, 4)}

    def _generate_examples(self, start, stop):
        for i in range(start, stop):
            out = io.BytesIO()
            noise = np.random.default_rng(i).integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(noise).save(out, "JPEG")
            out.seek(0)
            box = tfds.features.BBox(0.1, 0.1, 0.5, 0.5)
            thing = {"id": i, "area": 9, "bbox": box, "is_crowd": False, "label": 3}
            yield (
                i,
                {"image": out, "image/filename": f"{i}.jpg", "image/id": i, "objects": [thing] * i},
            )
