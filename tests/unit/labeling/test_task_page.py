"""What annotators see."""

import json
from pathlib import Path
from typing import Any

from menulens.labeling import task_page
from menulens.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]


def any_settings(**labeling: Any) -> dict[str, Any]:
    settings = load_settings(ROOT / "config" / "local.toml").model_dump(mode="json")
    settings["labeling"] |= labeling
    return settings


def should_list_categories_in_the_order_of_their_label_index() -> None:
    settings = any_settings()
    configuration = json.loads(task_page.categories(settings))
    assert configuration["document-version"] == "2018-11-28"
    assert [label["label"] for label in configuration["labels"]] == [item["key"] for item in settings["categories"]]


def should_name_the_element_as_the_built_in_consolidation_expects() -> None:
    page = task_page.template(any_settings())
    assert 'name="crowd-image-classifier"' in page
    assert 'src="{{ task.input.taskObject | grant_read_access }}"' in page
    assert 'categories="{{ task.input.labels | to_json | escape }}"' in page


def should_show_every_category_in_both_languages() -> None:
    settings = any_settings()
    page = task_page.template(settings)
    for category in settings["categories"]:
        assert f"<td>{category['ja']}</td><td>{category['en']}</td>" in page


def should_escape_what_settings_say() -> None:
    page = task_page.template(any_settings(question_en='Soup or "stew" <b>?'))
    assert "Soup or &quot;stew&quot; &lt;b&gt;?" in page
    assert "<b>" not in page
