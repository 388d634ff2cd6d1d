"""Calls that break other servers: bombs of frames and of gzip, masks of any size, clients that go away."""

import base64
import gzip
import io
import socket
import threading
import time

import pytest
from PIL import Image

from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.job import NotNow, Work
from fromnoise.server.app import create_app
from fromnoise.server.patience import configured

from .conftest import Served, png
from .listening import PATIENCE, listening, waited

RECIPE = {"prompt": "x", "width": 64, "height": 64, "steps": 1}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_body_of_gzip_is_not_unpacked(shared: Served) -> None:
    """100 MB of spaces, and then a sound order."""
    bomb = gzip.compress(b" " * 100_000_000 + b'{"prompt": "x"}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    for path in ("/sdapi/v1/txt2img", "/api/v1/jobs", "/v1/images/generations"):
        answer = shared.client.post(path, content=bomb, headers=headers)
        assert answer.status_code in (400, 415, 422), answer.text[:200]


def test_an_animation_of_ten_thousand_frames_is_its_first(shared: Served) -> None:
    frames = [Image.new("L", (2, 2), i % 256) for i in range(10_000)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    answer = shared.client.post("/api/v1/images", content=buffer.getvalue())
    assert answer.status_code in (201, 413, 422)
    if answer.status_code == 201:
        kept = Image.open(io.BytesIO(shared.client.get(f"/api/v1/images/{answer.json()['sha256']}").content))
        assert (getattr(kept, "n_frames", 1), kept.convert("L").getpixel((0, 0))) == (1, 0)


def test_a_jpeg_for_printers_is_read_in_its_colours(shared: Served) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK").save(buffer, "JPEG", quality=100)
    sent = shared.client.post("/api/v1/images", content=buffer.getvalue())
    assert sent.status_code == 201
    kept = Image.open(io.BytesIO(shared.client.get(f"/api/v1/images/{sent.json()['sha256']}").content))
    assert kept.mode == "RGB"
    assert kept.getpixel((8, 8)) == pytest.approx((200, 30, 30), abs=6)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (16, 16), (640, 1)])
def test_masks_are_of_any_size(size: tuple[int, int], shared: Served) -> None:
    body = {**RECIPE, "init_images": [base64_of(png())], "mask": base64_of(png(size, 255, "L"))}
    answer = shared.client.post("/sdapi/v1/img2img", json=body)
    assert answer.status_code in (200, 422), answer.text[:200]


@pytest.mark.parametrize("prompt", [" AND ".join(["x"] * 1000), "BREAK " * 10_000])
def test_very_many_parts_of_a_prompt(prompt: str, served: Served) -> None:
    began = time.monotonic()
    answer = served.client.post("/api/v1/jobs", json={"recipes": [{**RECIPE, "prompt": prompt}]})
    assert answer.status_code in (202, 422)
    assert time.monotonic() - began < 60


def test_a_client_that_goes_away_leaves_a_server_that_answers(shared: Served) -> None:
    order = b'{"prompt": "somebody leaves", "steps": 1, "width": 64, "height": 64}'
    head = b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
    with listening(configured(create_app(shared.context), "127.0.0.1", 0)) as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as left:
                left.sendall(head + str(len(order)).encode() + b"\r\n\r\n" + order)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert b"200" in other.recv(1000).split(b"\r\n")[0]
    assert waited(lambda: not shared.context.queue.line())  # and what was accepted is done


def test_cancelled_and_finished_at_one_time_is_one_of_both(served: Served) -> None:
    """Whichever comes first counts; the state never changes after."""
    queue = served.context.queue
    ends = set()
    for number in range(30):
        (job,) = queue.submit([Work.picture(Recipe(prompt="x", seed=number), owner="ann")])
        jobs: list[object] = []
        worker = threading.Thread(target=lambda jobs=jobs: jobs.extend(served.work()))
        worker.start()
        time.sleep(number % 6 / 1000)
        try:
            queue.cancel(job.id)
        except NotNow:
            assert queue.get(job.id).state == "done"
        worker.join()
        found = queue.get(job.id)
        assert found.state in ("done", "cancelled")
        assert bool(queue.results(job.id)) == (found.state == "done")
        ends.add(found.state)
    assert ends
