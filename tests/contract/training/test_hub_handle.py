"""Staging from a handle: TensorFlow Hub's client, against a server on loopback that answers as a hub does."""

import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from menulens.storage import Storage
from menulens.training.backbones import BackboneStageError, folder_sha256, stage


@pytest.fixture
def hub(small_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub that holds one model; yields its address."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub-cache"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in small_backbone.rglob("*"):
            if file.name != "backbone.json":
                archive.add(file, arcname=file.relative_to(small_backbone).as_posix(), recursive=False)

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path.startswith("/vectors/1?tf-hub-format=compressed")
            self.send_response(200 if there else 404)
            self.end_headers()
            self.wfile.write(packed.getvalue() if there else b"")

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def should_stage_what_a_hub_handle_names(hub: str, small_backbone: Path, tmp_path: Path) -> None:
    staged = stage(f"{hub}/vectors/1", storage=Storage(), models=str(tmp_path / "models"), name="small", image_size=64)
    assert staged.created
    assert staged.sha256 == folder_sha256(Path(staged.uri)) == folder_sha256(small_backbone)
    assert staged.width == 16
    again = stage(f"{hub}/vectors/1", storage=Storage(), models=str(tmp_path / "models"), name="small", image_size=64)
    assert not again.created


def should_say_what_to_do_when_a_handle_is_not_reachable(hub: str, tmp_path: Path) -> None:
    with pytest.raises(BackboneStageError, match="give the path of a SavedModel"):
        stage(f"{hub}/unknown/1", storage=Storage(), models=str(tmp_path / "models"), name="unknown")
