"""What an operator can choose for a service, each with its sentence; kept in the database, read when it starts."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.naming import DEFAULT
from fromnoise.jobs.preferences import SERVICE, Preferences

LONGEST_MARK = 14  # bytes of the watermark that pictures can hold

NAME = "service"


class Options(BaseModel):
    """How the service works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str = Field(
        title="Names of files",
        default=DEFAULT, min_length=1, max_length=200, description="How files are named, as AUTOMATIC1111 does.",
        json_schema_extra={"title_zh": "文件命名", "zh": "图片文件的命名方式，用 AUTOMATIC1111 的写法。"},
    )  # fmt: skip
    together: int = Field(
        title="Pictures side by side",
        default=4, ge=1, le=64, description="Pictures that one worker makes side by side.",
        json_schema_extra={"title_zh": "同时生成的图片数", "zh": "一个工作进程同时生成的图片数。"},
    )  # fmt: skip
    max_batch: int = Field(
        title="Largest batch",
        default=8, ge=1, le=256, description="Calls of the network in one batch: less needs less memory.",
        json_schema_extra={"title_zh": "最大批次", "zh": "一批中网络调用的次数；越小越省内存。"},
    )  # fmt: skip
    preview_every: float = Field(
        title="Time between previews",
        default=0.5, ge=0, le=60, description="Seconds between previews; 0 makes none.",
        json_schema_extra={"title_zh": "预览间隔", "zh": "预览之间的秒数；0 为不预览。"},
    )  # fmt: skip
    keep_every: float = Field(
        title="Time between stored states",
        default=3.0, ge=0, le=3600, description="Seconds after which a picture under way is stored, to go on from.",
        json_schema_extra={"title_zh": "存档间隔", "zh": "每隔多少秒存下进行中的图片，以便中断后继续。"},
    )  # fmt: skip
    grace: float = Field(
        title="Time to end work",
        default=10.0, ge=0, le=600, description="Seconds that work under way has to end in when the service stops.",
        json_schema_extra={"title_zh": "停止前的宽限时间", "zh": "服务停止时，留给进行中任务的秒数。"},
    )  # fmt: skip
    nice: int = Field(
        title="Lower priority of workers",
        default=5, ge=0, le=19, description="How much workers give way to the server and to others; 0: not at all.",
        json_schema_extra={"title_zh": "工作进程让出程度", "zh": "工作进程让出处理器的程度；0 为不让。"},
    )  # fmt: skip
    deaths: int = Field(
        title="Crashes before a job fails",
        default=3, ge=1, le=1000, description="Workers that may die of a job before it fails.",
        json_schema_extra={"title_zh": "崩溃次数上限", "zh": "一个任务最多可以让多少个工作进程崩溃，超过即失败。"},
    )  # fmt: skip
    most_jobs: int = Field(
        title="Waiting jobs",
        default=2000, ge=1, le=1_000_000, description="Jobs that may wait in all.",
        json_schema_extra={"title_zh": "等待任务上限", "zh": "总共可以等待的任务数。"},
    )  # fmt: skip
    most_jobs_each: int = Field(
        title="Waiting jobs of one user",
        default=500, ge=1, le=1_000_000, description="Jobs of one user that may wait.",
        json_schema_extra={"title_zh": "每个用户的等待任务上限", "zh": "一个用户可以等待的任务数。"},
    )  # fmt: skip
    most_streams: int = Field(
        title="Event streams of one user",
        default=100, ge=1, le=10_000, description="Streams of events that one user may follow at once.",
        json_schema_extra={"title_zh": "每个用户的事件流上限", "zh": "一个用户可以同时接收的事件流的个数。"},
    )  # fmt: skip
    upload_hours: float = Field(
        title="Unused pictures that were sent",
        default=24.0, ge=0.1, le=87_600, description="Hours that pictures which were sent, but never used, are kept.",
        json_schema_extra={"title_zh": "未使用的上传图片", "zh": "已上传但从未使用的图片保留的小时数。"},
    )  # fmt: skip
    days: float = Field(
        title="Memory of finished jobs",
        default=365.0, ge=0.01, le=36_500, description="Days that finished jobs are remembered; pictures stay.",
        json_schema_extra={"title_zh": "任务记录保留时间", "zh": "已完成任务保留的天数；图片不受影响。"},
    )  # fmt: skip
    watermark: str = Field(
        title="Invisible watermark",
        default="", max_length=LONGEST_MARK,
        description="A text of at most 14 bytes, hidden in the pixels of every picture.",
        json_schema_extra={"title_zh": "隐形水印", "zh": "隐藏在每张图片像素中的文字，最多 14 字节。"},
    )  # fmt: skip

    @field_validator("watermark")
    @classmethod
    def _fits(cls, text: str) -> str:
        if len(text.encode()) > LONGEST_MARK:
            raise ValueError(f"{len(text.encode())} bytes of UTF-8 are too long: {LONGEST_MARK} fit")
        return text

    terms: str = Field(
        title="Terms of use",
        default="", max_length=50_000, description="Terms of use, which every user is shown.",
        json_schema_extra={"title_zh": "使用条款", "zh": "向每个用户显示的使用条款。"},
    )  # fmt: skip

    accept_terms: int = Field(
        title="Terms have to be accepted",
        default=0, ge=0, le=1, description="Whether users accept the terms before they may ask for anything (0 or 1).",
        json_schema_extra={"title_zh": "必须接受条款", "zh": "用户须先接受条款才能提交任务（1 为是，0 为否）。"},
    )  # fmt: skip

    @property
    def terms_digest(self) -> str | None:
        """Of the terms that users have to accept; None where they have to accept nothing."""
        return hashlib.sha256(self.terms.encode()).hexdigest() if self.accept_terms and self.terms else None

    @classmethod
    def load(cls, database: Database) -> "Options":
        """As they were chosen; what a newer version knows besides, or what is not legal any more, is left out."""
        kept = Preferences(database).get(SERVICE, NAME) or {}
        good = {}
        for name, value in kept.items():
            try:
                cls.model_validate({name: value})
                good[name] = value
            except ValidationError:
                continue
        return cls.model_validate(good)

    def save(self, database: Database) -> None:
        Preferences(database).set(SERVICE, NAME, self.model_dump(mode="json", exclude_defaults=True))

    def changed(self, **changes: object) -> "Options":
        """UserError where a value is not legal."""
        try:
            return type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UserError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
