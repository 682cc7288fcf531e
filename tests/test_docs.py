"""The pages of docs/ make a site without a warning: every link leads somewhere, and every page is in its contents."""

from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[1]


def test_the_site_builds_without_a_warning(tmp_path):
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    assert config.strict  # a warning is an error
    build(config)
    assert (tmp_path / "site/index.html").is_file()


def test_every_page_stands_in_the_contents():
    config = load_config(str(ROOT / "mkdocs.yml"))
    listed = {page if isinstance(page, str) else next(iter(page.values())) for page in config.nav}
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")}
