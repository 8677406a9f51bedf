"""The table, and how the README shows it."""

from pathlib import Path

from tests.torture import table_clocks, table_files, table_media

ROWS = [*table_media.ROWS, *table_clocks.ROWS, *table_files.ROWS]
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->"


def table_text(rows):
    """A Markdown table of what goes in and how it ends.

    Arguments
    ---------
    rows : list of Row
        The table.

    Returns
    -------
    str
        One line for each row, and two above.
    """
    lines = ["| input | options | must end in |", "|---|---|---|"]
    for row in rows:
        options = " ".join(row.options)
        made = "mp4s " * row.videos + "overview" * row.overview
        if made:
            options = f"{options} (with {made.strip()})".strip()
        ends = str(row.ends).replace("|", "or")
        lines.append(f"| {row.name} | {options} | {ends} |")
    return "\n".join(lines) + "\n"


def write_readme():
    """Puts the table into the README between its marks."""
    text = README.read_text("utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(head + BEGIN + table_text(ROWS) + END + tail, "utf-8")
