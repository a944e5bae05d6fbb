"""Settings: a good file is frozen values, a bad one a message that names file, key, value and what is allowed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from menulens.settings import Settings, SettingsError, load_settings, settings_of

GOOD = Path("config/local.toml").read_text(encoding="utf-8")


def settings_file(folder: Path, text: str, name: str = "local") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "schedule",
    [
        "cron(0 3 * * *)",
        "cron(0 3 * * * *)",
        "cron(0 3 ? * ? *)",
        "rate(1 days)",
        "rate(7 dayz)",
        "rate(2 day)",
        "rate(0 days)",
    ],
)
def should_refuse_a_schedule_that_eventbridge_refuses(tmp_path: Path, schedule: str) -> None:
    text = GOOD.replace("[gate]", f"[operations]\nvectorise_schedule = '{schedule}'\n[gate]")
    with pytest.raises(SettingsError, match=r"operations\.vectorise_schedule.*six fields"):
        load_settings(settings_file(tmp_path, text))


@pytest.mark.parametrize(
    "schedule",
    [
        "rate(1 day)",
        "rate(12 hours)",
        "cron(0 3 ? * MON *)",
        "cron(0/15 8-17 ? * MON-FRI *)",
        "cron(0 8 1 * ? *)",
        "cron(0 0 L * ? *)",
    ],
)
def should_take_every_form_of_a_schedule(tmp_path: Path, schedule: str) -> None:
    text = GOOD.replace("[gate]", f"[operations]\nretrain_schedule = '{schedule}'\n[gate]")
    assert load_settings(settings_file(tmp_path, text)).operations.retrain_schedule == schedule


@pytest.mark.parametrize("path", sorted(Path("config").glob("*.toml")), ids=lambda path: path.stem)
def should_accept_every_settings_file_of_the_project(path: Path) -> None:
    assert settings_of(path.stem).environment == path.stem


def should_number_model_classes_without_gaps_while_labels_count_every_category(tmp_path: Path) -> None:
    first_does_not_train = GOOD.replace('en = "Meal"', 'en = "Meal"\ntrains = false', 1)
    rules = load_settings(settings_file(tmp_path, first_does_not_train)).cleaning_rules("photos")
    assert rules.classes == ("sweets", "drink", "fruit", "vegetable")
    assert rules.label_to_class == {1: 0, 2: 1, 3: 2, 4: 3}


def should_be_frozen() -> None:
    with pytest.raises(ValidationError):
        settings_of("local").environment = "other"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("epochs = 1", "epoch = 1", ("training.epoch", "no such key", "epochs")),
        ("ben@example.com", "ben@@", ("labeling.members[1]", "'ben@@'", "an e-mail address")),
        ("ben@example.com", "AKI@example.com", ("labeling.members", "aki@example.com", "twice")),
        ('key = "drink"', 'key = "Drink"', ("categories[2].key", "'Drink'", "small letters")),
        ('key = "drink"', 'key = "meal"', ("categories: key", "'meal'", "twice")),
        ('"portal"', '"mturk"', ("labeling.provider", "'mturk'", "'portal'", "'ground_truth'")),
        ('en = "Meal"\n', "", ("categories[0].en", "missing")),
        ('emoji = "🍛"', 'emoji = "<b>"', ("categories[0].emoji", "'<b>'", "one emoji")),
        ('emoji = "🍛"', 'emojis = "🍛"', ("categories[0].emojis", "no such key", "emoji, en")),
        (
            'owners = ["owner@example.com"]',
            'owners = ["owner"]',
            ("labeling.owners[0]", "'owner'", "an e-mail address"),
        ),
        ('owners = ["', 'owners = ["OWNER@example.com", "', ("labeling.owners", "'owner@example.com'", "twice")),
        ("[portal]", "[portal]\nconfidence = 0.5", ("portal.confidence", "0.5", "greater than 0.5")),
        ("[portal]", "[portal]\nmin_answers = 6", ("portal", "min_answers", "max_answers (5)")),
        ("[portal]", "[portal]\nmax_answers = 10", ("portal.max_answers", "10", "9")),
        ("[portal]", "[portal]\ngold_share = 0.6", ("portal.gold_share", "0.6", "0.5")),
        ("[portal]", "[portal]\nleast_worth = 1.0", ("portal.least_worth", "1.0", "less than 1")),
        ("[portal]", "[portal]\ndisplay_pixels = 4000", ("portal.display_pixels", "4000", "1600")),
        ("[portal]", "[portal]\nlease_seconds = 5", ("portal.lease_seconds", "5", "30")),
        ("[portal]", "[portal]\ndomain = 'labels.example.com'", ("portal", "certificate_arn", "both or neither")),
        ("[portal]", "[portal]\ndomain = 'https://x'", ("portal.domain", "'https://x'", "labels.example.com")),
        ("[portal]", "[portal]\ncertificate_arn = 'x'", ("portal.certificate_arn", "'x'", "us-east-1")),
        ('["genre", ', '["genre", "genre", ', ("portal.context_keys", "'genre'", "twice")),
        ('["genre", ', '["ge nre", ', ("portal.context_keys[0]", "'ge nre'", "menu-text")),
        ("workers_per_photo = 3", "workers_per_photo = 10", ("labeling.workers_per_photo", "10", "9")),
        ("min_accuracy = 0.5", "min_accuracy = 1.5", ("gate.min_accuracy", "1.5", "1")),
        ('group_pattern = "^photos/([^/]+)/"', 'group_pattern = "photos"', ("split.group_pattern", "(group)")),
        ('group_pattern = "^photos/([^/]+)/"', 'group_pattern = "(("', ("split.group_pattern", "regular expression")),
        ('region = "us-east-1"', 'region = "tokyo"', ("region", "'tokyo'", "ap-northeast-1")),
        (
            '"local"\nregion = "us-east-1"',
            '"production-tokyo"\nregion = "ap-northeast-1"',
            ("'production-tokyo'", "63", "14"),
        ),
        ('environment = "local"', 'environment = "aws-shop"', ("environment", "'aws-shop'", "'aws'", "Cognito")),
        ("photos_per_pack = 100", "min_instances = 3", ("serving", "max_instances", "3")),
        (
            "photos_per_pack = 100",
            "instance_type = 'ml.c5.xlarge'\ntransform_instance_type = 'ml.g5.xlarge'",
            ("serving", "instance_type (ml.c5.xlarge)", "transform_instance_type (ml.g5.xlarge)", "same container"),
        ),
        (
            "photos_per_pack = 100",
            "transform_instance_type = 'ml.m5.xlarge'",
            ("serving", "instance_type (ml.g5.xlarge)", "transform_instance_type (ml.m5.xlarge)", "same container"),
        ),
        ("[gate]", "[operations]\nretrain_schedule = 'weekly'\n[gate]", ("operations.retrain_schedule", "rate(")),
        ("[gate]", "[operations]\nbudget = 5\n[gate]", ("operations.budget", "monthly_budget_usd")),
        ("[labeling]", "[labeling]\nlabel_attribute = 'menu-ref'", ("labeling.label_attribute", "-ref")),
        ("[labeling]", "[photos]\nprefix = '/photos'\n[labeling]", ("photos.prefix", "'/photos'")),
    ],
)
def should_name_file_key_value_and_what_is_allowed(tmp_path: Path, old: str, new: str, parts: tuple[str, ...]) -> None:
    assert old in GOOD
    path = settings_file(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert str(path) in message


def should_transform_on_instances_as_the_endpoints_unless_others_are_set(tmp_path: Path) -> None:
    def serving(lines: str) -> tuple[str, str]:
        found = load_settings(settings_file(tmp_path, GOOD.replace("photos_per_pack = 100", lines, 1))).serving
        return found.instance_type, found.transform_instance_type

    assert serving("") == ("ml.g5.xlarge", "ml.g5.xlarge")
    assert serving("instance_type = 'ml.c5.xlarge'") == ("ml.c5.xlarge", "ml.c5.xlarge")
    assert serving("transform_instance_type = 'ml.p3.2xlarge'") == ("ml.g5.xlarge", "ml.p3.2xlarge")


def should_tell_of_a_wrong_instance_type_once(tmp_path: Path) -> None:
    text = GOOD.replace("photos_per_pack = 100", "instance_type = 'g5.xlarge'", 1)
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_file(tmp_path, text))
    (line,) = str(caught.value).splitlines()
    assert "serving.instance_type = 'g5.xlarge'" in line


def should_list_every_fault_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("epochs = 1", "epoch = 1", 1).replace("ben@example.com", "ben", 1)
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_file(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 2


def should_say_which_environments_have_a_file(tmp_path: Path) -> None:
    settings_file(tmp_path, GOOD)
    with pytest.raises(SettingsError, match=r"Environments with one: local"):
        load_settings(tmp_path / "prod.toml")


def should_refuse_a_file_whose_name_is_not_its_environment(tmp_path: Path) -> None:
    settings_file(tmp_path, GOOD, name="staging")
    with pytest.raises(SettingsError, match="must be the file's name, 'staging'"):
        settings_of("staging", tmp_path)


@given(st.text(max_size=200))
def should_never_crash_on_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = settings_file(tmp_path_factory.getbasetemp(), text.encode("utf-8", "replace").decode())
    with pytest.raises(SettingsError):
        load_settings(path)


def should_ask_in_the_portal_unless_told_otherwise(tmp_path: Path) -> None:
    text = GOOD.replace('provider = "portal"\n', "")
    assert load_settings(settings_file(tmp_path, text)).labeling.provider == "portal"


@pytest.mark.parametrize("path", sorted(Path("config").glob("*.toml")), ids=lambda path: path.stem)
def should_show_every_category_with_emoji_and_hints(path: Path) -> None:
    for category in settings_of(path.stem).categories:
        assert category.emoji, category.key
        assert category.hint_ja, category.key
        assert category.hint_en, category.key


def should_give_another_fingerprint_for_another_setting() -> None:
    settings = settings_of("local")
    changed = Settings.model_validate({**settings.model_dump(), "region": "eu-west-1"})
    assert settings.fingerprint() != changed.fingerprint()
