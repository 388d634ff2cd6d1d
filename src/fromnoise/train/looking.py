"""What a training would be given, as a text to read (kohya's debug_dataset): each batch of the first epoch."""

from pathlib import Path

from fromnoise.engine.images import write_whole
from fromnoise.train.finetune import FineTuneTask


def written_out(task: FineTuneTask, path: Path) -> Path:
    """Write for every picture its file, size, bucket, cut and caption as they would be at each step; the path."""
    schedule, lines = task.lesson.schedule, list[str]()
    for step in range(schedule.length):
        epoch, items = schedule.at(step)
        lines.append(f"batch {step + 1}, epoch {epoch}")
        for item, caption in zip(items, task.captions(items, step, epoch), strict=True):
            (across, down), (width, height) = item.fit.resized, item.fit.bucket
            kind = "  regularisation" if item.example.regular else ""
            lines.append(f"  {item.example.path}{kind}")
            lines.append(f"    {across}x{down} cut to {width}x{height}: {caption!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    return path
