"""`fromnoise models list`, `info` and `scan`."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.cli.messages import language, say
from fromnoise.cli.progress import note
from fromnoise.engine import licences
from fromnoise.engine.companions import Companions, companions
from fromnoise.engine.licences import Licence
from fromnoise.engine.shelves import BUILTIN, KINDS, NOUNS, Kind, builtin, find, items, kind_named
from fromnoise.errors import FileError, UserError
from fromnoise.jobs import scan
from fromnoise.jobs.database import Database
from fromnoise.jobs.index import Digests, Entry, Facts, Index, Stamp
from fromnoise.settings import Settings


def list_models(kind: str | None, search: str, as_json: bool) -> None:
    """A table on a terminal, tab-separated lines elsewhere, or JSON."""
    wanted = kind_named(kind) if kind else None
    entries = known(settings.read(), wanted)
    words = search.lower().split()
    entries = [entry for entry in entries if all(word in searched(entry) for word in words)]
    if as_json:
        print(json.dumps([as_table(entry) for entry in entries], ensure_ascii=False, indent=2))
        return
    print_entries(entries)
    unread = sum(not entry.was_read for entry in entries)
    if unread:
        note(say("{count} files have not been read yet: fromnoise models scan", count=unread))


def known(here: Settings, kind: Kind | None) -> list[Entry]:
    """What is on the shelves now, with what the index knows of it."""
    index = opened(here)
    if index is not None:
        index.refresh(here)
        return index.entries(here, kind)
    kinds = KINDS if kind is None else (kind,)
    return [Entry(k, item.name, item.path, Stamp.of(item.path)) for k in kinds for item in items(k, here)]


def opened(here: Settings) -> Index | None:
    """The index; None where there is no place for a database."""
    return Index(Database.open(here.database_url)) if here.database_url else None


def searched(entry: Entry) -> str:
    facts = entry.facts or Facts("")
    return " ".join([entry.name, facts.title, facts.author, *facts.trigger_words]).lower()


def print_entries(entries: Sequence[Entry]) -> None:
    rows = [(entry.kind, entry.name, sort_of(entry), size(entry.stamp.size), short(entry.digests)) for entry in entries]
    if not sys.stdout.isatty():
        print(
            "".join("\t".join((*row, str(entry.place))) + "\n" for row, entry in zip(rows, entries, strict=True)),
            end="",
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(say("kind"), say("name"), say("what it is"), say("size"), say("hash"), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def sort_of(entry: Entry) -> str:
    """Family, or what else the file holds, in a word or two."""
    if entry.fault:
        return say("can't be read")
    return (entry.facts.family or entry.facts.holds) if entry.facts else ""


def short(digests: Digests | None) -> str:
    return digests.sha256[:10] if digests else ""


def size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def as_table(entry: Entry) -> dict[str, object]:
    """An entry for programs."""
    digests, facts, licence = entry.digests, entry.facts, licence_of(entry)
    return {
        "kind": entry.kind,
        "name": entry.name,
        "path": str(entry.place),
        "size": entry.stamp.size,
        "changed": entry.stamp.changed / 1e9,
        "sha256": digests.sha256 if digests else None,
        "tensors_sha256": digests.tensors if digests else None,
        "old_hash": digests.old if digests else None,
        "facts": facts.dump() if facts else None,
        "fault": entry.fault,
        "source": entry.source.dump() if entry.source else None,
        "licence": licence.key if licence else None,
    }


def licence_of(entry: Entry) -> Licence | None:
    """What the file says, then where it comes from, then what its family came under."""
    facts, said = entry.facts or Facts(""), entry.source.licences if entry.source else ()
    named = licences.known(facts.licence, *said)
    return named or (None if said else licences.of_family(facts.family, entry.name))


def located(name: str, kind: str | None, here: Settings) -> tuple[Kind, Path]:
    """Kind and path of what is called `name`. FileError where nothing is, UserError where things of two kinds are."""
    if kind is not None:
        wanted = kind_named(kind)
        return wanted, find(wanted, name, here)
    if name == BUILTIN or (here.any_path and Path(name).exists()):
        return shelf_of(find("checkpoints", name, here), here)
    found: dict[Path, tuple[Kind, Path]] = {}
    faults: list[FileError] = []
    for each in KINDS:
        try:
            path = find(each, name, here)
            found.setdefault(path.resolve(), (each, path))
        except FileError as error:
            faults.append(error)
    if not found:
        near = [fault for fault in faults if "did you mean" in str(fault) or "could be" in str(fault)]
        raise (
            near[0]
            if near
            else FileError(say("no model file {name} of any kind: see fromnoise models list", name=repr(name)))
        )
    if len(found) > 1:
        kinds = ", ".join(each for each, _ in found.values())
        raise UserError(
            say("{name} could be of the kinds {kinds}: say which with --kind", name=repr(name), kinds=kinds)
        )
    return next(iter(found.values()))


def shelf_of(path: Path, here: Settings) -> tuple[Kind, Path]:
    """A path, and the kind that it is shelved as; a checkpoint where it lies elsewhere."""
    for kind in KINDS:
        if any(item.path.resolve() == path.resolve() for item in items(kind, here)):
            return kind, path
    return "checkpoints", path


def described(name: str, kind: str | None, here: Settings) -> Entry:
    """All that is known of one file, read now where it has to be."""
    found, path = located(name, kind, here)
    index = opened(here)
    if index is not None:
        index.refresh(here)
        kept = [entry for entry in index.at(here, path) if entry.kind == found]
        if kept and (kept[0].digests or kept[0].fault or path.is_dir()) and kept[0].was_read:
            return kept[0]
    stamp = Stamp.of(path)
    facts = scan.told(path, scan.looked_into)
    digests = None if isinstance(facts, str) or path.is_dir() else scan.digests(path, here.hashes)
    if index is not None:
        for result in (facts, digests):
            if result is not None:
                index.store(path.resolve(), stamp, result)
        kept = [entry for entry in index.at(here, path) if entry.kind == found]
        if kept:
            return kept[0]
    name = BUILTIN if path == builtin() else path.name
    if isinstance(facts, str):
        return Entry(found, name, path, stamp, fault=facts)
    return Entry(found, name, path, stamp, digests, facts)


def describe_model(name: str, kind: str | None, as_json: bool) -> None:
    """A line for each thing that is known."""
    entry = described(name, kind, settings.read())
    beside = companions(entry.place)
    if as_json:
        print(json.dumps(as_table(entry) | {"beside": of_companions(beside)}, ensure_ascii=False, indent=2))
        return
    from fromnoise.cli.info import CONTROL, table

    rows = {label: value for label, value in [*of_entry(entry), *of_beside(entry, beside)] if value}
    print(CONTROL.sub("\ufffd", "\n".join(table(rows))))


def of_entry(entry: Entry) -> Iterable[tuple[str, str]]:
    """What the file itself says, label by label."""
    facts, digests = entry.facts or Facts(""), entry.digests
    yield say("name"), entry.name
    yield say("kind"), NOUNS[entry.kind]
    yield say("file"), str(entry.place)
    yield say("size"), size(entry.stamp.size)
    yield say("fault"), entry.fault or ""
    yield say("holds"), " ".join(word for word in (facts.holds, facts.family, facts.task, facts.prediction) if word)
    yield say("parameters"), f"{facts.parameters:,} ({', '.join(facts.dtypes)})" if facts.parameters else ""
    if digests:
        yield "SHA-256", digests.sha256
        yield "AutoV3", (digests.tensors or "")[:12]
    if entry.source:
        yield say("from"), f"{entry.source.repo}/{entry.source.file} @ {entry.source.commit[:10]}"
    yield say("licence"), licence_line(licence_of(entry))


def of_beside(entry: Entry, beside: Companions) -> Iterable[tuple[str, str]]:
    """What its metadata and the files beside it say."""
    facts = entry.facts or Facts("")
    yield say("title"), beside.title or facts.title
    yield say("author"), facts.author
    yield say("made for"), beside.base or facts.base
    yield say("trigger words"), " | ".join(beside.trigger_words or facts.trigger_words)
    yield say("negative words"), beside.negative
    yield say("weight"), f"{beside.weight:g}" if beside.weight else ""
    yield say("page"), beside.page
    yield say("preview"), str(beside.preview or "")
    yield say("description"), " ".join(beside.description.split())[:500]
    yield say("notes"), " ".join(beside.notes.split())[:500]
    yield say("fault"), "; ".join(beside.faults)


def licence_line(licence: Licence | None) -> str:
    if licence is None:
        return ""
    terms = licence.terms_zh if language() == "zh" else licence.terms
    return f"{licence.name}: {terms} ({licence.address})"


def of_companions(beside: Companions) -> dict[str, object]:
    """What lies beside a file, for programs."""
    return {
        "files": [str(path) for path in beside.files],
        "preview": str(beside.preview) if beside.preview else None,
        "title": beside.title,
        "description": beside.description,
        "notes": beside.notes,
        "trigger_words": list(beside.trigger_words),
        "negative": beside.negative,
        "weight": beside.weight,
        "base": beside.base,
        "vae": beside.vae,
        "page": beside.page,
        "faults": list(beside.faults),
    }


def scan_shelves(quiet: bool) -> None:
    """Read all that is new, with a line at each quarter of the way."""
    here = settings.read()
    index = opened(here)
    if index is None:
        raise UserError(say("there is no place for a database: set FROMNOISE_DATA"))
    index.refresh(here)
    before = {entry.place for entry in index.entries(here) if entry.fault}

    def report(done: int, total: int) -> None:
        if total and done * 4 // total > (done - 1) * 4 // total:
            note(say("{done} of {total} files", done=done, total=total), quiet)

    scan.scan(index, here, report)
    for entry in index.entries(here):
        if entry.fault and entry.place not in before:
            note(f"{entry.place}: {entry.fault}")
