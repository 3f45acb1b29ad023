"""docs/options.md, made from the fields of the configs:

python -m jaxpercept.cli.reference > docs/options.md
"""

from __future__ import annotations

from jaxpercept import config
from jaxpercept.cli.options import flag, sentence, words
from jaxpercept.config.options import GROUPS, Option, options

_RECIPE_KINDS = [
    (preset, loss) for preset in config.SUPERRES_PRESETS for loss in config.SUPERRES_LOSSES[preset]
]
_BY_RECIPE = {
    name
    for kind in _RECIPE_KINDS
    for name, value in config.superres_recipe(4, *kind).items()
    if isinstance(value, int | float | str) and name not in ("task", "out")
}

_INTRODUCTION = """# Options of a training

The fields of `TrainConfig` and of its `objective`, an `ObjectiveConfig`, written by
`python -m jaxpercept.cli.reference`. The options that are not fields, such as `--preset` and
`--width`, are explained by `python train.py style --help`, and likewise for the other commands. A
run can only be resumed with the same value of an option that says "same"."""
_RECIPES = """## recipes

`python train.py superres` has other defaults, which depend on `--preset`, `--loss` and the scale
N:"""


def reference() -> str:
    """Returns the document, with a table for each group of options."""
    text = [_INTRODUCTION]
    for group, about in GROUPS.items():
        rows = ["| option | in Python | what it does | on resume |", "|---|---|---|---|"]
        for kind, prefix in ((config.TrainConfig, ""), (config.ObjectiveConfig, "objective.")):
            for name, option in options(kind).items():
                if option.help and option.group == group:
                    rows.append(_row(name, prefix, option, getattr(kind, name, None)))
        if group == "objective":
            for term in config.TERMS:
                about_it = f"weight of the term: {term.help}"
                weight = Option(help=about_it, fixed=True, only=term.only, flag=term.flag)
                rows.append(_row(f"weights.{term.name}", "objective.", weight, None))
        text += [f"## {group}", about, "\n".join(rows)]
    return "\n\n".join([*text, _RECIPES, _recipes()]) + "\n"


def _recipes() -> str:
    """Returns the table of the defaults of super-resolution."""
    made = [[config.superres_recipe(scale, *kind) for scale in (4, 8)] for kind in _RECIPE_KINDS]
    plain = config.TrainConfig(data=("photos",))
    rows = ["| option |" + "".join(f" {preset}, {loss} |" for preset, loss in _RECIPE_KINDS)]
    rows.append("|---" * (1 + len(_RECIPE_KINDS)) + "|")
    for name, option in options(config.TrainConfig).items():
        if name not in _BY_RECIPE:
            continue
        cells = []
        for small, large in made:
            first, second = (recipe.get(name, getattr(plain, name)) for recipe in (small, large))
            cells.append(f"{first:,}" if isinstance(first, int) else str(first))
            if first != second:
                cells[-1] = f"{first // 4} N"
        rows.append(f"| `{flag(name, option, 'superres')}` | {' | '.join(cells)} |")
    weights = [
        ", ".join(f"{name} {weight:g}" for name, weight in small["objective"].weights.items())
        for small, _ in made
    ]
    rows.append(f"| terms | {' | '.join(weights)} |")
    return "\n".join(rows)


def _row(name: str, prefix: str, about: Option, default: object) -> str:
    flags = f"`{flag(name, about)}`"
    for command in about.elsewhere:
        flags += f", in {command} `{flag(name, about, command)}`"
    what = sentence(about.help, about, words(default)).replace("|", "\\|")
    if not prefix and name in _BY_RECIPE:
        what += ", in superres by the [recipe](#recipes)"
    only = f" Only in {' and '.join(about.only)}." if about.only else ""
    same = "same" if about.fixed or prefix else ""
    return f"| {flags} | `{prefix}{name}` | {what}.{only} | {same} |"


if __name__ == "__main__":
    print(reference(), end="")
