"""Fetching model files from a hub (huggingface.co, or whatever HF_ENDPOINT names) by name.

    offer = look_up(Wanted.of("stabilityai/sd-turbo"))  # what the repository holds, and its licence
    files = chosen(offer, wanted.file)  # which of it is meant
    paths = fetch(offer, files, folder, report)  # verified; what was broken off goes on where it stopped

Nothing is believed: names are checked before they become paths, contents are compared with the checksum that the hub
gave, and pickles are refused unless they are asked for. Without a connection, what other programs keep in the hub's
cache is used. This module needs no torch.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self
from urllib.parse import unquote, urlsplit

from fromnoise.errors import FileError, FromnoiseError, UserError

Report = Callable[[int, int], None]  # bytes done, bytes in all

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
WEIGHTS = (".safetensors", ".sft", ".gguf", *PICKLES)
SAFE = (*WEIGHTS[:3], ".json", ".txt", ".model", ".yaml", ".yml", ".csv", ".png", ".jpg", ".webp", ".md")
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')
PAGES = ("blob", "resolve", "tree")  # in addresses of a hub
INDEX = "model_index.json"
COMPONENTS = (  # folders of a diffusers model that take part in making pictures
    "unet",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "scheduler",
    "image_encoder",
    "feature_extractor",
    "image_normalizer",
    "image_noising_scheduler",
)
FORM = re.compile(r"\.(fp16|bf16|non_ema)\b")
PART = ".part"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for: a repository, perhaps one file or folder in it, perhaps of a certain revision."""

    repo: str
    file: str | None = None
    revision: str | None = None

    @classmethod
    def of(cls, name: str, file: str | None = None, revision: str | None = None) -> Self:
        """OWNER/NAME, OWNER/NAME/FILE, either with @REVISION, or the address of a page of the hub. UserError."""
        if "://" in name:
            name, marked = from_address(name)
            revision = revision or marked
        path, _, marked = name.partition("@")
        owner, _, rest = path.partition("/")
        title, _, inside = rest.partition("/")
        wanted = cls(f"{owner}/{title}", (file or inside).strip("/") or None, revision or marked or None)
        if not REPO.fullmatch(wanted.repo) or ".." in wanted.repo:
            raise UserError(f"{name!r} names no repository: give OWNER/NAME, such as stabilityai/sd-turbo")
        if wanted.revision and (not REVISION.fullmatch(wanted.revision) or ".." in wanted.revision):
            raise UserError(f"{wanted.revision!r} is no name of a revision: give a branch, a tag or a commit")
        if wanted.file:
            safe_name(wanted.file)
        return wanted


def from_address(address: str) -> tuple[str, str | None]:
    """Name and revision of https://huggingface.co/OWNER/NAME/blob/REVISION/FILE."""
    parts = [unquote(part) for part in urlsplit(address).path.split("/") if part]
    if len(parts) > 3 and parts[2] in PAGES:
        return "/".join([*parts[:2], *parts[4:]]), parts[3]
    return "/".join(parts), None


@dataclass(frozen=True)
class Remote:
    """A file in a repository."""

    name: str
    size: int
    sha256: str | None  # of large files
    blob: str | None  # SHA-1 as git computes it, of the others
    saved: str = ""  # the name here, where it is another

    @property
    def place(self) -> PurePosixPath:
        """Its path below the folder of downloads. UserError."""
        return safe_name(self.saved or self.name)

    @property
    def is_pickle(self) -> bool:
        return self.name.lower().endswith(PICKLES)

    @property
    def is_weights(self) -> bool:
        return self.name.lower().endswith(WEIGHTS)


@dataclass(frozen=True)
class Offer:
    """A repository at one commit."""

    repo: str
    revision: str | None  # as it was asked for
    commit: str
    files: tuple[Remote, ...]
    licences: tuple[str, ...]  # keys, the most exact first
    tags: tuple[str, ...]


def look_up(wanted: Wanted) -> Offer:
    """What the hub says about a repository. UserError, FromnoiseError."""
    from huggingface_hub import HfApi

    with told(wanted.repo):
        info = HfApi(endpoint=endpoint()).model_info(wanted.repo, revision=wanted.revision, files_metadata=True)
    files = [
        Remote(
            entry.rfilename,
            (entry.lfs.size if entry.lfs else entry.size) or 0,
            entry.lfs.sha256 if entry.lfs else None,
            None if entry.lfs else entry.blob_id,
        )
        for entry in info.siblings or ()
    ]
    keys = [getattr(info.card_data, name, None) for name in ("license_name", "license")]
    keys += [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    licences = tuple(dict.fromkeys(key for key in keys if isinstance(key, str) and key != "other"))
    return Offer(wanted.repo, wanted.revision, str(info.sha), tuple(files), licences, tuple(info.tags or ()))


def chosen(offer: Offer, file: str | None, *, pickle: bool = False) -> tuple[Remote, ...]:
    """The files that are meant: one file, all of a folder, or of a whole repository what makes one model.

    UserError where that is not clear, where nothing is there, and for a pickle without `pickle`.
    """
    if file is not None:
        exact = tuple(remote for remote in offer.files if remote.name == file)
        below = tuple(remote for remote in offer.files if remote.name.startswith(f"{file}/"))
        if not exact and not below:
            raise UserError(f"{offer.repo} has no file {file!r}; {there(offer.files)}")
        return allowed(exact, pickle) if exact else one_model(below, offer.repo, pickle)
    if any(remote.name == INDEX for remote in offer.files):
        parts = [r for r in offer.files if r.name == INDEX or r.name.partition("/")[0] in COMPONENTS]
        return one_model(parts, offer.repo, pickle)
    weights = [remote for remote in offer.files if remote.is_weights and (pickle or not remote.is_pickle)]
    if len(weights) == 1:
        return tuple(weights)
    if not weights and any(remote.is_pickle for remote in offer.files):
        raise UserError(f"{offer.repo} holds pickles only, which can carry code: --pickle fetches them all the same")
    raise UserError(f"{offer.repo}: say which file is meant; {there(weights or offer.files)}")


def allowed(files: tuple[Remote, ...], pickle: bool) -> tuple[Remote, ...]:
    """`files`, if no rule is against them."""
    for remote in files:
        safe_name(remote.name)
        if remote.is_pickle and not pickle:
            raise UserError(f"{remote.name} is a pickle, which can carry code: --pickle fetches it all the same")
        if not remote.is_pickle and not remote.name.lower().endswith(SAFE):
            raise UserError(f"{remote.name} is no model file")
    return files


def one_model(files: Sequence[Remote], repo: str, pickle: bool) -> tuple[Remote, ...]:
    """Of a folder: its small files, and the weights in one form where there are several (safetensors, 16 bits)."""
    for remote in files:
        safe_name(remote.name)
    kept = [remote for remote in files if remote.name.lower().endswith(SAFE) or (pickle and remote.is_pickle)]
    weights = [remote for remote in kept if remote.is_weights]
    safe = [remote for remote in weights if not remote.is_pickle]
    if not weights:
        raise UserError(f"{repo} holds pickles only, which can carry code: --pickle fetches them all the same")
    forms: dict[str, Remote] = {}
    for remote in sorted(safe or weights, key=lambda remote: (".non_ema" in remote.name, ".fp16" not in remote.name)):
        plain = FORM.sub("", remote.name)
        forms.setdefault(plain, remote if "-of-" in plain else replace(remote, saved=plain))
    return tuple([remote for remote in kept if not remote.is_weights] + list(forms.values()))


def there(files: Sequence[Remote]) -> str:
    names = [remote.name for remote in files if remote.is_weights] or [remote.name for remote in files]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"it has {', '.join(names[:20])}{more}" if names else "it is empty"


def safe_name(name: str) -> PurePosixPath:
    """A name in a repository as a path below a folder. UserError where it could lead elsewhere or can't be a file."""
    parts = name.split("/")
    for part in parts:
        bad = not part or part != part.strip(" ") or part.endswith(".")
        if bad or FORBIDDEN.search(part) or RESERVED.fullmatch(part) or len(part.encode()) > 200:
            raise UserError(f"the hub names a file {name!r}, which is not safe to write: it is left alone")
    return PurePosixPath(*parts)


def fetch(offer: Offer, files: Sequence[Remote], folder: Path, report: Report) -> list[Path]:
    """Bring files below `folder`, each whole and verified; what is there already is not fetched again.

    A download that was broken off goes on where it stopped. UserError, FileError, FromnoiseError.
    """
    total, before = sum(remote.size for remote in files), 0
    paths = []
    for remote in files:
        path = folder / remote.place

        def so_far(done: int, before: int = before) -> None:
            report(before + done, total)

        if not (path.is_file() and sound(path, remote)):
            with written(path):
                download(offer, remote, path, so_far)
        before += remote.size
        report(before, total)
        paths.append(path)
    return paths


def download(offer: Offer, remote: Remote, path: Path, so_far: Callable[[int], None]) -> None:
    """One file, from the hub's cache on this machine if it is there."""
    from huggingface_hub import hf_hub_url, try_to_load_from_cache
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}{PART}")
    cached = try_to_load_from_cache(offer.repo, remote.name, revision=offer.commit)
    if isinstance(cached, str):
        shutil.copyfile(cached, part)
    else:
        address = hf_hub_url(offer.repo, remote.name, revision=offer.commit, endpoint=endpoint())
        check_space(path.parent, remote.size)
        with part.open("ab") as file, told(offer.repo):
            if file.tell() > remote.size:
                file.truncate(0)
            http_get(
                address,
                file,
                resume_size=file.tell(),
                headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                expected_size=remote.size,
                tqdm_class=counting(so_far),  # type: ignore[arg-type]  # it asks for no more than this has
            )
            file.flush()
            os.fsync(file.fileno())
    known_here = cached is not None and not remote.sha256 and not remote.blob  # a cache without links has no checksums
    if not known_here and not sound(part, remote):
        part.unlink()
        raise FileError(f"{remote.name} arrived damaged (its checksum is another than the hub's): fetch it again")
    part.replace(path)


def counting(so_far: Callable[[int], None]) -> Callable[..., object]:
    """What http_get takes for a progress bar."""

    class Bar:
        def __init__(self, *_: object, initial: int = 0, **__: object) -> None:
            self.done = initial
            so_far(self.done)

        def update(self, more: float = 1) -> None:
            self.done += int(more)
            so_far(self.done)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Bar


def cached_offer(wanted: Wanted) -> Offer:
    """What the hub's cache on this machine holds of a repository. UserError where that is nothing."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    with suppress(CacheNotFound):
        for repo in scan_cache_dir(constants.HF_HUB_CACHE).repos:
            if repo.repo_type != "model" or repo.repo_id != wanted.repo:
                continue
            for revision in sorted(repo.revisions, key=lambda revision: revision.last_modified, reverse=True):
                if wanted.revision in (None, revision.commit_hash, *revision.refs):
                    files = tuple(
                        Remote(
                            file.file_path.relative_to(revision.snapshot_path).as_posix(),
                            file.size_on_disk,
                            file.blob_path.name if len(file.blob_path.name) == 64 else None,
                            file.blob_path.name if len(file.blob_path.name) == 40 else None,
                        )
                        for file in sorted(revision.files, key=lambda file: str(file.file_path))
                    )
                    return Offer(wanted.repo, wanted.revision, revision.commit_hash, files, (), ())
    raise UserError(f"{wanted.repo} is not on this machine, and the hub can't be reached: try again with a connection")


def sound(path: Path, remote: Remote) -> bool:
    """Whether a file is what the hub says it is."""
    if path.stat().st_size != remote.size:
        return False
    with path.open("rb") as file:
        if remote.sha256:
            return digest(file, hashlib.sha256()) == remote.sha256
        if remote.blob:
            return digest(file, hashlib.sha1(b"blob %d\0" % remote.size)) == remote.blob
    return False


def digest(file: BinaryIO, known: "hashlib._Hash") -> str:
    while block := file.read(BLOCK):
        known.update(block)
    return known.hexdigest()


def check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FileError(f"{folder} has {free / 1e9:.1f} GB left, and {needed / 1e9:.1f} GB are needed: make room first")


def endpoint() -> str | None:
    """The hub's address, where the environment names one."""
    return os.environ.get("HF_ENDPOINT") or None


class NoConnection(FromnoiseError):
    """The hub can't be reached."""


@contextmanager
def told(repo: str) -> Iterator[None]:
    """Failures of the hub and the network as errors for people."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{repo} is given out on terms: accept them on its page, then set HF_TOKEN to a token of yours"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(f"the hub has no repository {repo}, or a private one: check the name, set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{repo} has no such revision: check --revision") from error
    except errors.EntryNotFoundError as error:
        raise UserError(f"{repo} has no such file any more") from error
    except errors.OfflineModeIsEnabled as error:
        raise NoConnection("HF_HUB_OFFLINE is set: the hub is not asked") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise NoConnection(f"the hub answers {status} for {repo}: try again later, or set HF_TOKEN") from error
    except Exception as error:
        reason = " ".join(str(error).split())
        if type(error).__module__.startswith("httpx") or isinstance(error, (ConnectionError, TimeoutError)):
            raise NoConnection(f"the hub can't be reached ({reason}): check the connection") from error
        if isinstance(error, OSError) and error.strerror is None:  # fewer bytes than announced
            raise NoConnection("the download broke off: the same command goes on where it stopped") from error
        raise


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Failures of the disk as errors for people."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (ConnectionError, TimeoutError)) or error.strerror is None:
            raise
        raise FileError(f"{path} can't be written ({error.strerror})") from error
