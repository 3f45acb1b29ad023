"""docs/options.md, made from the fields of the configs:

python -m jaxpercept.cli.reference > docs/options.md
"""

from __future__ import annotations

from jaxpercept import config
from jaxpercept.cli.options import sentence, words
from jaxpercept.config.options import GROUPS, Option, options

_INTRODUCTION = """# Options of a training

The fields of `TrainConfig` and of its `objective`, an `ObjectiveConfig`, written by
`python -m jaxpercept.cli.reference`. `python train.py style --help` explains the rest of a
command. A run can only be resumed with the same value of an option that says "same"."""


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
    return "\n\n".join(text) + "\n"


def _row(name: str, prefix: str, about: Option, default: object) -> str:
    flags = f"`{about.flag or '--' + name.replace('_', '-')}`"
    for command, (flag, _) in about.elsewhere.items():
        flags += f", in {command} `{flag}`"
    what = sentence(about.help, about, words(default)).replace("|", "\\|")
    only = f" Only in {' and '.join(about.only)}." if about.only else ""
    same = "same" if about.fixed or prefix else ""
    return f"| {flags} | `{prefix}{name}` | {what}.{only} | {same} |"


if __name__ == "__main__":
    print(reference(), end="")
