"""The documentation: its links lead somewhere, and the command line takes its commands."""

import re
import shlex

import pytest

from jaxpercept.cli.parser import build_parser


@pytest.fixture(scope="module")
def pages(root):
    """Returns the text of each page by its path."""
    found = (*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("weights/*.md"))
    assert len(found) > 10
    return {path: path.read_text() for path in found}


def without_blocks(text):
    return re.sub(r"(?ms)^```.*?^```", "", text)


def test_links_in_the_docs_lead_somewhere(root, pages):
    broken = []
    for page, text in pages.items():
        plain = re.sub(r"`[^`]*`", "", without_blocks(text))
        for link in re.findall(r"\]\(([^)\s]+)\)", plain):
            name, _, anchor = link.partition("#")
            if re.match(r"https?:|mailto:", link):
                continue
            path = (page.parent / name).resolve() if name else page
            if not path.exists() or (anchor and anchor not in anchors(pages[path])):
                broken.append(f"{page.relative_to(root)}: {link}")
    assert not broken


def anchors(text):
    """Returns the names that GitHub gives to the headings of a page."""
    found = re.findall(r"(?m)^#+ +(.+?) *$", without_blocks(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def commands(text):
    """Yields the shell commands of a page as lists of words, from its blocks and its sentences."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", without_blocks(text))]
    program = re.compile(r"python (?:-m )?((?:infer\.py|train\.py|jaxpercept) .*)")
    for line in lines:
        for part in line.split(" && "):
            if found := program.search(part):
                given = found[1]
                for quote in "'\"":  # of a command around it, such as srun
                    given = given.rstrip(quote) if given.count(quote) % 2 else given
                yield shlex.split(given, comments=True)


def test_the_command_line_takes_the_commands_of_the_docs(root, pages, capsys):
    wrong, count = [], 0
    for page, text in pages.items():
        for program, *words in commands(text):
            words = ["train", *words] if program == "train.py" else words
            count += 1
            try:
                build_parser("jaxpercept").parse_args(words)
            except SystemExit as e:
                said = capsys.readouterr().err.splitlines()[-1:]
                if e.code and "are required" not in said[0]:  # a sentence may only name a command
                    wrong.append(f"{page.relative_to(root)}: {shlex.join(words)}: {said[0]}")
    assert not wrong
    assert count > 70
