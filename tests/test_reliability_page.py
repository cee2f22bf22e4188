"""docs/reliability.md: the tests that it names are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")


def test_what_the_page_names_is_there():
    named = set(re.findall(r"`(tests/[\w./]+)`", PAGE))
    assert len(named) > 25
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_targets_that_the_page_names_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([\w-]+)", PAGE))
    assert {"test", "test-full", "soak"} <= named
    assert [name for name in sorted(named) if f"\n{name}:" not in makefile] == []


def test_every_link_leads_somewhere():
    for page in [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
