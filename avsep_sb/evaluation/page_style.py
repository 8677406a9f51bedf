"""Frame and style of the report page.

Authors
 * avsep_sb contributors
"""

STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.2rem 4rem;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  color: #1b1b1b; background: #fff; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 0.4rem; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; }
.quiet { color: #595959; font-size: 0.9rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.6rem; text-align: right;
  border-bottom: 1px solid #ddd; vertical-align: middle; }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 2px solid #888; font-weight: 600; }
img { max-width: 100%; height: auto; display: block; margin: 0.5rem 0; }
audio { width: 10rem; height: 2.2rem; display: block; }
.bad { color: #b00020; font-weight: 600; }
section.case { border-top: 1px solid #ccc; margin-top: 1.6rem; }
@media (max-width: 40rem) {
  body { padding: 0.6rem 0.7rem 3rem; }
  th, td { padding: 0.3rem 0.45rem; font-size: 0.88rem; }
  audio { width: 8.5rem; }
}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def table(header, rows):
    """A table that scrolls by itself where the screen is narrow.

    Arguments
    ---------
    header : list of str
        Names of the columns, as HTML.
    rows : list of list of str
        Cells, as HTML.

    Returns
    -------
    str

    Example
    -------
    >>> "<td>1</td>" in table(["a"], [["1"]])
    True
    """
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
