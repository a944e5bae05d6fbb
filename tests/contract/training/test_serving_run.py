"""A finished job's archive behind the serving environment: TensorFlow 2.20, the archive's own inference.py."""

import base64
import io
import json
import subprocess
import threading

import numpy as np
import pytest
import requests
import tensorflow as tf
from opt_ml import CLASSES, any_photo
from serving import PYTHON, served

JSON, LINES, NPY = "application/json", "application/jsonlines", "application/x-npy"


@pytest.fixture(scope="module")
def url(trained, tmp_path_factory):
    with served(trained.folder / "model", tmp_path_factory.mktemp("log") / "serving.log") as base:
        yield base


def invoke(url, body, content_type, accept=None):
    headers = {"Content-Type": content_type, **({"Accept": accept} if accept else {})}
    return requests.post(f"{url}/invocations", data=body, headers=headers, timeout=60)


def b64(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def instances(*items) -> str:
    return json.dumps({"instances": list(items)})


def should_run_in_the_tensorflow_of_the_serving_container(url):
    program = "from importlib.metadata import version; print(version('tensorflow-cpu'))"
    told = subprocess.run([str(PYTHON), "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "2.20.0"
    inputs = {"inputs": {"photo": [{"b64": ""}]}}
    outputs = requests.post(f"{url}/v1/models/model:predict", json=inputs, timeout=60).json()["outputs"]
    assert sorted(outputs) == ["decoded", "probabilities", "reason", "vector"]
    assert np.shape(outputs["vector"]) == (1, 1024)


@pytest.mark.parametrize(("form", "content_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
def should_answer_one_photo_with_one_object(url, form, content_type):
    answer = invoke(url, any_photo(1, 0, form), content_type)
    told = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert (told["model_version"], told["classes"], told["l2_normalised"]) == ("job-1", CLASSES, True)
    (prediction,) = told["predictions"]
    assert np.linalg.norm(prediction["vector"]) == pytest.approx(1, abs=1e-5)
    assert len(prediction["vector"]) == told["vector_width"] == 1024
    assert prediction["category"] == CLASSES[int(np.argmax(prediction["probabilities"]))]
    assert prediction["confidence"] == max(prediction["probabilities"])


def should_serve_the_vectors_that_the_model_computes(url, saved_model):
    photo = any_photo(7, 2)
    served_vector = invoke(url, photo, "image/jpeg").json()["predictions"][0]["vector"]
    serve = saved_model.signatures["serving_default"]
    assert served_vector == pytest.approx(serve(photo=tf.constant([photo]))["vector"].numpy()[0], abs=1e-4)


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "message"),
    [
        (b"", "image/jpeg", None, 400, "empty"),
        (any_photo(1, 0, "PNG"), "image/jpeg", None, 415, "image/jpeg"),
        (any_photo(1, 0)[:150], "image/jpeg", None, 400, "item 0: can't be decoded"),
        (any_photo(1, 0, size=(1500, 1500)), "image/jpeg", None, 413, "1,000,000 are decoded"),
        (b"\xff\xd8\xff" + b"x" * 1_000_001, "image/jpeg", None, 413, "1,000,000 are allowed"),
        (b"hello", "text/plain", None, 415, "image/png"),
        (any_photo(1, 0), "image/jpeg", "text/html", 406, "application/x-npy"),
        (b"{", JSON, None, 400, "no JSON"),
        (b"[1]", JSON, None, 400, "instances"),
        (instances(), JSON, None, 400, "at least one"),
        (instances({"id": "a", "b64": "!"}), JSON, None, 400, "id 'a'): b64 is no base64"),
        (json.dumps({"b64": ""}), JSON, None, 400, "empty"),
        (instances({"b64": 7}, {}), JSON, None, 400, "item 1: b64 is missing"),
        (instances({"b64": b64(any_photo(1, 0))}, {"id": "z", "b64": b64(b"zz")}), JSON, NPY, 415, "item 1 (id 'z')"),
        (b"", LINES, None, 400, "no line"),
    ],
)
def should_refuse_with_a_message_that_names_the_item(url, body, content_type, accept, status, message):
    answer = invoke(url, body, content_type, accept)
    assert (answer.status_code, answer.headers["content-type"]) == (status, JSON)
    assert message in answer.json()["error"]


def should_tell_of_the_bad_photos_of_a_batch_and_keep_the_good_ones(url):
    body = instances(
        {"id": "a", "b64": b64(any_photo(1, 0))}, {"id": "bad", "b64": b64(b"zzz")}, {"b64": b64(any_photo(2, 1))}
    )
    answer = invoke(url, body, JSON)
    first, second, third = answer.json()["predictions"]
    assert answer.status_code == 200
    assert (first["id"], len(first["vector"])) == ("a", 1024)
    assert second == {"id": "bad", "error": "item 1 (id 'bad'): neither JPEG nor PNG"}
    assert (third["id"], len(third["vector"])) == (None, 1024)


@pytest.mark.parametrize("name", ["寿司 🍣", "\ud83d", "", 7, 1.5, None])
def should_answer_with_the_id_that_was_given(url, name):
    given = {"id": name, "b64": b64(any_photo(1, 0))}
    bad = {"id": name, "b64": "!"}
    told = invoke(url, instances(given, bad), JSON)
    lines = invoke(url, json.dumps(given) + "\n" + json.dumps(bad), LINES)
    assert (told.status_code, lines.status_code) == (200, 200)
    assert [item["id"] for item in told.json()["predictions"]] == [name, name]
    assert [json.loads(line)["id"] for line in lines.content.splitlines()] == [name, name]
    assert invoke(url, instances(bad), JSON).status_code == 400


@pytest.mark.parametrize(
    "name", ["NaN", "-Infinity", "1e999", '{"a": 1}', "[]", "[" * 900 + "]" * 900, "[" * 100_000, "1" * 5_000]
)
def should_refuse_an_id_that_is_neither_text_nor_number(url, name):
    item = f'{{"id": {name}, "b64": "{b64(any_photo(1, 0))}"}}'
    good = json.dumps({"b64": b64(any_photo(1, 0))})
    assert invoke(url, f'{{"instances": [{item}]}}', JSON).status_code == 400
    lines = invoke(url, f"{item}\n{good}\n", LINES)
    bad, fine = (json.loads(line) for line in lines.content.splitlines())
    assert (lines.status_code, bad["id"], "item 0" in bad["error"]) == (200, None, True)
    assert fine["category"] in CLASSES


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"b64":' * 50_000, b"\xff\xfe", b"{\x00", b'{"b64": "\xed\xa0\xbd"}', b"NaN", b"0"],
)
def should_refuse_a_body_that_no_client_means(url, body):
    assert invoke(url, body, JSON).status_code == 400


def should_answer_lines_line_for_line(url):
    photos = [any_photo(step, step % 3) for step in range(40)]
    lines = [json.dumps({"id": f"p{step}", "b64": b64(photo)}) for step, photo in enumerate(photos)]
    lines[7] = "{broken"
    answer = invoke(url, "\n".join(lines) + "\n", LINES, JSON)
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, len(told)) == (200, 40)
    assert "item 7" in told[7]["error"]
    assert [line["id"] for place, line in enumerate(told) if place != 7] == [f"p{s}" for s in range(40) if s != 7]
    vector = np.frombuffer(base64.b64decode(told[3]["vector_b64"]), "<f4")
    alone = invoke(url, photos[3], "image/jpeg").json()["predictions"][0]["vector"]
    assert vector == pytest.approx(alone, abs=1e-4)
    assert told[3]["model_version"] == "job-1"


def should_answer_an_array_that_numpy_reads(url):
    photos = [any_photo(step, step % 3) for step in range(3)]
    answer = invoke(url, instances(*({"b64": b64(photo)} for photo in photos)), JSON, NPY)
    array = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert answer.headers["content-type"] == NPY
    assert (array.shape, array.dtype.str) == ((3, 1024), "<f4")


def should_answer_each_of_many_clients_with_its_own_photo(url):
    photos = [any_photo(step, step % 3) for step in range(48)]
    alone = [invoke(url, photo, "image/jpeg").json()["predictions"][0]["vector"] for photo in photos[:6]]
    answers: list = [None] * len(photos)

    def ask(place: int) -> None:
        answers[place] = invoke(url, photos[place], "image/jpeg").json()["predictions"][0]["vector"]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(answer is not None for answer in answers)
    for together, single in zip(answers, alone, strict=False):
        assert together == pytest.approx(single, abs=1e-4)


def should_speak_the_rest_interface_of_tensorflow_serving(url):
    base = f"{url}/v1/models/model"
    assert requests.get(base, timeout=10).json()["model_version_status"][0]["state"] == "AVAILABLE"
    assert requests.get(f"{url}/v1/models/other", timeout=10).status_code == 404
    photo = {"b64": b64(any_photo(1, 0))}
    rows = requests.post(f"{base}:predict", json={"instances": [photo, {"photo": photo}]}, timeout=60).json()
    columns = requests.post(f"{base}/versions/1:predict", json={"inputs": {"photo": [photo]}}, timeout=60).json()
    assert len(rows["predictions"]) == 2
    assert columns["outputs"]["vector"][0] == pytest.approx(rows["predictions"][0]["vector"], abs=1e-5)
    assert requests.post(f"{base}:predict", json={"instances": []}, timeout=10).status_code == 400
