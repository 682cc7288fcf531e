"""What a run says last: what its report says first."""

from pathlib import Path

from lgtm.errors import visible

PAGE = Path("reports/results.md")
WHOLE = Path("reports/report.html")


def conclusion(page: Path = PAGE) -> list[str]:
    """The report's warnings and its recommendation, as the stage report has written them, without markdown's marks.

    They stand before the page's second heading. None where there is no report.
    """
    if not page.is_file():
        return []
    lines: list[str] = []
    headings = 0
    for line in page.read_text(encoding="utf-8").splitlines():
        headings += line.startswith("## ")
        if headings > 1:
            break
        if line.strip():
            lines.append(visible(line.lstrip("# ").replace("**", "").replace("`", "")))
    return [*lines, f"The whole page: {WHOLE}"]
