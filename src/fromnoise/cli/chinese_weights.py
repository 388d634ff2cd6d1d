"""The catalogue of the commands on model files; `chinese.py` joins it with the rest."""

OURS = {
    "Print the hashes of files, as every tool computes them.": "显示文件的哈希值， 与各种工具算出的一致。",
    "Model files.": "模型文件。",
}

ELSEWHERE: dict[str, str] = {}
