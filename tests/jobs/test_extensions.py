"""A package of somebody else's: what it adds of every kind works, in the worker alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.extensions import CHECKS, PANELS, Input, Panel
from fromnoise.engine.metadata.comfyui_graph import Node
from fromnoise.engine.metadata.comfyui_nodes import NODES
from fromnoise.jobs.worker.routes import ROUTES, Reply
from fromnoise.jobs.worker.tasks import task
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.upscalers import UPSCALERS

from dataclasses import replace

NODES.add(
    "FancySampler", lambda node: Node(node.id, "KSampler", {**node.values, "seed": node.values["luck"]}, node.links)
)
NODES.add("FancyFreeU", lambda node: {"free_u": {"b1": node.values["backbone"]}})
NODES.add("Failing", lambda node: 1 / 0)
ROUTES.add("shouting/loud", lambda call: Reply({"said": call.rest.upper(), "by": call.user}))
ROUTES.add("shouting/failing", lambda call: 1 / 0)
ROUTES.add("shouting/page", lambda call: Reply("<b>hi</b>", media="text/html"))
PREPROCESSORS.add("canny twin", replace(PREPROCESSORS._items["canny"], aliases=()))
UPSCALERS.add("Nearest twin", UPSCALERS._items["Nearest"])

SAMPLERS.add("euler_twin", replace(SAMPLERS._items["euler"], name="euler_twin", label="Euler twin", aliases=()))
PANELS.add("shout", Panel(title="Shout", work="shout", inputs=(Input(name="words", label="Words"),)))
CHECKS.add("red", lambda image, recipe: "it is red" if image.getpixel((0, 0)) == (255, 0, 0) else None)


@task("shout")
def shout(body, desk):
    yield 1, 2
    return [Result(media="application/json", data={"said": body["words"].upper()})]
"""
POINTS = "\n".join(
    f"[fromnoise.{group}]\nshouting = shouting\n"
    for group in (
        "samplers",
        "upscalers",
        "preprocessors",
        "nodes",
        "routes",
        "tasks",
        "panels",
        "picture_checks",
    )
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """As pip would install it."""
    (tmp_path / "shouting.py").write_text(MODULE)
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    return tmp_path


def run(package: Path, code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_tells_of_it(package: Path) -> None:
    code = "import json, fromnoise.jobs.worker.worker; from fromnoise.jobs.worker import extensions;"
    told = json.loads(run(package, f"{code} print(json.dumps(extensions.told()))"))
    assert [choice["name"] for choice in told["catalogue"]["samplers"]] == ["euler_twin"]
    assert [choice["name"] for choice in told["catalogue"]["others"]["upscalers"]] == ["Nearest twin"]
    assert [choice["name"] for choice in told["catalogue"]["others"]["preprocessors"]] == ["canny twin"]
    assert told["kinds"] == ["shout"]
    assert (told["nodes"][0], told["routes"][0]) == ("FancySampler", "shouting/loud")
    assert (told["panels"][0]["title"], told["panels"][0]["inputs"][0]["name"]) == ("Shout", "words")
    assert "faults" not in told


def test_a_check_keeps_pictures_back(package: Path) -> None:
    code = """
from PIL import Image
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import UserError
from fromnoise.jobs.worker.extensions import examine
examine(Image.new("RGB", (2, 2), "blue"), Recipe())
try:
    examine(Image.new("RGB", (2, 2), "red"), Recipe())
except UserError as error:
    print(error)
"""
    assert run(package, code) == "not given out: it is red\n"


def test_a_broken_package_is_named_and_the_rest_works(package: Path) -> None:
    (package / "shouting.py").write_text("1 / 0")
    (package / "other.py").write_text(MODULE.replace('"euler_twin"', '"other_twin"'))
    info = package / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fromnoise.samplers]\nother = other\n")
    code = """
import json
from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.worker import extensions
from fromnoise.sampling.samplers import SAMPLERS
told = extensions.told()
told["known"] = [name in SAMPLERS for name in ("euler", "other_twin")]
try:
    extensions.examine(None, Recipe())
except Exception as error:
    told["refused"] = str(error)
print(json.dumps(told))
"""
    told = json.loads(run(package, code))
    assert all("shouting" in fault and "ZeroDivisionError" in fault for fault in told["faults"])
    assert len(told["faults"]) == 8  # one for each kind of thing that it names
    assert told["known"] == [True, True]
    assert "no picture leaves unchecked" in told["refused"]  # a check that is not there keeps all back


GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {"class_type": "FancyFreeU", "inputs": {"model": ["1", 0], "backbone": 1.25}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
    "4": {"class_type": "FancySampler", "inputs": {"model": ["2", 0], "positive": ["3", 0], "negative": ["3", 0],
          "latent_image": ["6", 0], "luck": 42, "steps": 9, "cfg": 4.0, "sampler_name": "euler",
          "scheduler": "normal"}},
    "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
    "6": {"class_type": "Failing", "inputs": {"width": 64}},
}  # fmt: skip


def test_its_nodes_are_read(package: Path) -> None:
    code = f"""
import json
from fromnoise.engine.metadata.comfyui import read
found = read({{"prompt": json.dumps({GRAPH!r})}})
recipe = found.recipe
told = [recipe.seed, recipe.steps, recipe.prompt, recipe.model, recipe.free_u.b1]
print(json.dumps([told, found.warnings, list(found.not_understood)]))
"""
    told, warnings, not_understood = json.loads(run(package, code))
    assert told == [42, 9, "a cat", "a", 1.25]
    assert "Failing: the extension that reads it failed (ZeroDivisionError)" in warnings
    assert not any("Fancy" in name for name in not_understood)


def test_its_routes_are_answered_in_a_process_of_their_own(package: Path, tmp_path: Path) -> None:
    code = f"""
import json, pathlib, sys
from fastapi.testclient import TestClient
from fromnoise.jobs.database import Database
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.server.access import Access
from fromnoise.server.app import create_app
from fromnoise.server.context import Context
from tests.server.conftest import HOST, Few

folder = pathlib.Path({str(tmp_path)!r})
database = Database.open(f"sqlite:///{{folder / 'jobs.db'}}")
news = {{"routes": ["shouting/loud", "shouting/failing", "shouting/page"], "panels": [
    {{"title": "Shout", "title_zh": "", "work": "", "page": "shouting/page", "inputs": []}}]}}
Leases(database).enlist("w", "cpu", {{"extensions": news}})
context = Context(Queue(database), Access.to(Few()), folder, folder / "uploads")
client = TestClient(create_app(context), base_url=HOST, client=("127.0.0.1", 5), raise_server_exceptions=False)
at = "/api/v1/extensions"
loud, page = client.get(f"{{at}}/shouting/loud/hi"), client.get(f"{{at}}/shouting/page")
listed = client.get(at).json()
print(json.dumps({{
    "loud": [loud.status_code, loud.json()], "page": [page.text, dict(page.headers)],
    "failing": [(one := client.post(f"{{at}}/shouting/failing")).status_code, one.json()["message"]],
    "unknown": client.get(f"{{at}}/shouting/quiet").status_code,
    "listed": [listed["routes"], listed["panels"][0]["page"]],
    "loaded": [name for name in ("shouting", "torch") if name in sys.modules],
}}))
context.porter.close()
"""
    found = json.loads(run(package, code))
    assert found["loud"] == [200, {"said": "HI", "by": "local"}]
    assert found["page"][0] == "<b>hi</b>"
    policy = found["page"][1]["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "default-src 'none'" in policy
    assert found["failing"] == [502, "the extension at shouting/failing failed; the server's log says more"]
    assert found["unknown"] == 404
    assert found["listed"] == [["shouting/failing", "shouting/loud", "shouting/page"], "shouting/page"]
    assert found["loaded"] == []


def test_the_server_imports_nothing_of_it(package: Path) -> None:
    code = "import sys, fromnoise.server.serve; print('shouting' in sys.modules)"
    assert run(package, code) == "False\n"


def test_the_servers_process_knows_of_it_and_loads_none_of_it(package: Path) -> None:
    code = """
import sys
from pathlib import Path
from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.database import Database
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.server import strangers
from fromnoise.server.access import Access
from fromnoise.server.accounts import Users
from fromnoise.server.context import Context

strangers.EVERY = 0.0
place = Path(PLACE)
database = Database.open(f"sqlite:///{place / 'jobs.db'}")
context = Context(Queue(database), Access.to(Users(database, {})), place, place / "uploads")
strangers.keep_out(context)
assert "canny twin" not in PREPROCESSORS
Leases(database).enlist("a", "cpu", {"extensions": TOLD})
hint = {"path": "x.png", "sha256": "0" * 64}
control = {"image": hint, "preprocessor": "canny twin", "model": "x", "parameters": {"low": 90}}
print(Recipe(controls=[control]).controls[0].preprocessor, [p.name for p in PREPROCESSORS["canny twin"].parameters])
try:
    Recipe(controls=[control | {"parameters": {"low": 1e9}}])
except ValueError as error:
    print("goes from" in str(error))
print("shouting" in sys.modules)
"""
    tell = "import json, fromnoise.jobs.worker.worker; from fromnoise.jobs.worker import extensions;"
    told = json.loads(run(package, f"{tell} print(json.dumps(extensions.told()))"))
    said = run(package, code.replace("PLACE", repr(str(package))).replace("TOLD", repr(told)))
    assert said.splitlines() == ["canny twin ['low', 'high']", "True", "False"]
