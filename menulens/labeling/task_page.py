"""What annotators see: the categories they pick from, and the page that asks."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

DOCUMENT_VERSION: Final = "2018-11-28"


def categories(settings: Mapping[str, Any]) -> str:
    """Return the label category configuration: category keys in order, a category's place being its label index."""
    labels = [{"label": category["key"]} for category in settings["categories"]]
    return json.dumps({"document-version": DOCUMENT_VERSION, "labels": labels}, ensure_ascii=False, indent=1) + "\n"


def template(settings: Mapping[str, Any]) -> str:
    """Return the page's template: Ground Truth fills in the photo and the categories for each task."""
    labeling = settings["labeling"]
    question = html.escape(f"{labeling['question_ja']} / {labeling['question_en']}", quote=True)
    rows = "\n".join(f"        {row}" for row in _rows(settings["categories"]))
    return f"""<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<crowd-form>
  <crowd-image-classifier
    name="crowd-image-classifier"
    src="{{{{ task.input.taskObject | grant_read_access }}}}"
    header="{question}"
    categories="{{{{ task.input.labels | to_json | escape }}}}"
  >
    <full-instructions header="{question}">
      <table>
        <tr><th>カテゴリー / Category</th><th>日本語</th><th>English</th></tr>
{rows}
      </table>
    </full-instructions>
    <short-instructions>
      <table>
{rows}
      </table>
    </short-instructions>
  </crowd-image-classifier>
</crowd-form>
"""


def _rows(categories_: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "<tr>" + "".join(f"<td>{html.escape(category[name])}</td>" for name in ("key", "ja", "en")) + "</tr>"
        for category in categories_
    ]
