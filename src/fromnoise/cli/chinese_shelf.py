"""The catalogue of `fromnoise models`; `chinese.py` joins it with the rest."""

OURS = {
    # help; rich breaks lines at spaces only
    "List, describe, fetch and remove model files.": "列出、 查看、 下载和移除模型文件。",
    "List the model files on the shelves.": "列出各模型文件夹里的模型。",
    "Say all that is known of a model file, and of what lies beside it.": "查看一个模型文件及其附属文件的全部信息。",
    "Fetch a model from a hub, and put it on its shelf.": "从模型站下载模型， 并放进对应的文件夹。",
    "Move a model file, with what belongs to it, to a bin.": "把模型文件连同附属文件移到回收文件夹。",
    "Read what is new on the shelves: families, metadata and hashes.": "读取新增的模型文件： 类型、 元数据和哈希值。",
    "Which kind of model: checkpoints, loras, vae, ...: see docs/library.md.": (
        "哪一类模型： checkpoints、 loras、 vae 等， 见 docs/library.md。"
    ),
    "Name or path of a model file of any kind.": "任意一类模型文件的名字或路径。",
    "Print JSON.": "以 JSON 输出。",
    "Don't ask.": "不再询问。",
    "Only this kind: checkpoints, loras, vae, ...": "只看这一类： checkpoints、 loras、 vae 等。",
    "Only files with these words in their name or title.": "只看名字或标题里含有这些词的文件。",
    "OWNER/NAME or OWNER/NAME/FILE on the hub, or its address.": "模型站上的 作者/仓库 或 作者/仓库/文件， 或其网址。",
    "A file or folder in the repository.": "仓库里的文件或文件夹。",
    "A branch, a tag or a commit; by default the newest.": "分支、 标签或提交； 默认为最新。",
    "Another name for the file, without its suffix.": "给文件另取的名字， 不含扩展名。",
    "Fetch a pickle, too; it is read with care, but not by every tool.": (
        "也下载 pickle 格式； 本工具读取时很谨慎， 其他工具未必。"
    ),
    "Delete it instead.": "直接删除。",
    "Say nothing but what fails.": "只在出错时输出。",
    # list, info, scan
    "{count} files have not been read yet: fromnoise models scan": (
        "还有 {count} 个文件没有读取过，可运行 fromnoise models scan"
    ),
    "kind": "类别",
    "name": "名字",
    "what it is": "类型",
    "size": "大小",
    "hash": "哈希",
    "can't be read": "无法读取",
    "file": "文件",
    "fault": "问题",
    "holds": "内容",
    "parameters": "参数量",
    "from": "来源",
    "licence": "许可证",
    "title": "标题",
    "author": "作者",
    "made for": "适用于",
    "trigger words": "触发词",
    "negative words": "反向提示词",
    "weight": "推荐权重",
    "page": "网页",
    "preview": "预览图",
    "description": "说明",
    "notes": "备注",
    "no model file {name} of any kind: see fromnoise models list": (
        "没有任何一类的模型文件叫 {name}：见 fromnoise models list"
    ),
    "{name} could be of the kinds {kinds}: say which with --kind": "{name} 可能属于 {kinds}：请用 --kind 指明",
    "there is no place for a database: set FROMNOISE_DATA": "没有存放数据库的位置：请设置 FROMNOISE_DATA",
    "{done} of {total} files": "{done}/{total} 个文件",
    # get
    "there already": "已经有了",
    "{repo}: {names} ({size})": "{repo}：{names}（{size}）",
    "licence: {licence}": "许可证：{licence}",
    "licence: {licence}, which its page explains": "许可证：{licence}，详见其网页",
    "licence: none is named; its page may say more": "许可证：未注明，或许可在其网页上找到",
    "a pickle can carry code: we never run it, but other tools may": (
        "pickle 文件可能带有代码：本工具从不执行，其他工具可能会执行"
    ),
    "fetch {size}? [Y/n] ": "下载 {size}？[Y/n] ",
    "nothing was fetched": "没有下载",
    "{done:,.1f} of {total:,.1f} MB": "已下载 {done:,.1f}/{total:,.1f} MB",
    # remove
    "the built-in model comes with the package and stays": "内置模型是软件包的一部分，不能移除",
    "deleted {count} files": "删除了 {count} 个文件",
    "moved {count} files; to have them back, move them out again": "移走了 {count} 个文件；移回来即可恢复",
    "this removes files: confirm it with --yes": "此操作会移除文件：请用 --yes 确认",
    "delete these files? [y/N] ": "删除这些文件？[y/N] ",
    "move these files to a bin? [y/N] ": "把这些文件移到回收文件夹？[y/N] ",
    "nothing was removed": "没有移除任何文件",
}

ELSEWHERE = {
    "{file}: which kind of model it is can't be told: say so with --kind": (
        "{file}：看不出是哪一类模型，请用 --kind 指明"
    ),
    "{path} is there already: choose another name with --as": "{path} 已存在：请用 --as 另取名字",
    "{name} names no repository: give OWNER/NAME, such as stabilityai/sd-turbo": (
        "{name} 不是仓库名：请写成 作者/仓库，例如 stabilityai/sd-turbo"
    ),
    "{name} is no name of a revision: give a branch, a tag or a commit": "{name} 不是版本名：请给出分支、标签或提交",
    "{repo} has no file {file}; it has {names}": "{repo} 里没有 {file}；其中有 {names}",
    "{repo}: say which file is meant; it has {names}": "{repo}：请指明哪个文件；其中有 {names}",
    "{repo} holds pickles only, which can carry code: --pickle fetches them all the same": (
        "{repo} 里只有可能带代码的 pickle 文件：加 --pickle 仍可下载"
    ),
    "{file} is a pickle, which can carry code: --pickle fetches it all the same": (
        "{file} 是可能带代码的 pickle 文件：加 --pickle 仍可下载"
    ),
    "{file} is no model file": "{file} 不是模型文件",
    "the hub names a file {name}, which is not safe to write: it is left alone": (
        "模型站给出的文件名 {name} 不安全，已跳过"
    ),
    "{file} arrived damaged (its checksum is another than the hub's): fetch it again": (
        "{file} 下载后校验和不符，文件已损坏：请重新下载"
    ),
    "{repo} is given out on terms: accept them on its page, then set HF_TOKEN to a token of yours": (
        "{repo} 需同意条款才能下载：请先在其网页上同意，再把 HF_TOKEN 设为您的令牌"
    ),
    "the hub has no repository {repo}, or a private one: check the name, set HF_TOKEN": (
        "模型站上没有仓库 {repo}，或它是私有的：请检查名字，或设置 HF_TOKEN"
    ),
    "{repo} has no such revision: check --revision": "{repo} 没有这个版本：请检查 --revision",
    "{repo} has no such file any more": "{repo} 里已没有这个文件",
    "HF_HUB_OFFLINE is set: the hub is not asked": "已设置 HF_HUB_OFFLINE，不连接模型站",
    "the hub answers {status} for {repo}: try again later, or set HF_TOKEN": (
        "模型站对 {repo} 返回 {status}：请稍后再试，或设置 HF_TOKEN"
    ),
    "the hub can't be reached ({reason}): check the connection": "连不上模型站（{reason}）：请检查网络",
    "the download broke off: the same command goes on where it stopped": "下载中断：再次运行同一命令即可续传",
    "{repo} is not on this machine, and the hub can't be reached: try again with a connection": (
        "本机没有 {repo}，又连不上模型站：请联网后再试"
    ),
    "{folder} has {free} GB left, and {needed} GB are needed: make room first": (
        "{folder} 剩余 {free} GB，需要 {needed} GB：请先腾出空间"
    ),
    "{path} can't be written ({reason})": "无法写入 {path}（{reason}）",
    "the database {file} can't be used ({reason}): restore or remove it": (
        "无法使用数据库 {file}（{reason}）：请恢复或删除它"
    ),
    "the database can't be reached ({reason}); check FROMNOISE_DATABASE": (
        "连不上数据库（{reason}）：请检查 FROMNOISE_DATABASE"
    ),
    "FROMNOISE_DATABASE: {url} is no URL of a database; try sqlite:///FILE": (
        "FROMNOISE_DATABASE：{url} 不是数据库的 URL，可用 sqlite:///文件"
    ),
    "the database {url} was made by a newer fromnoise: update fromnoise": (
        "数据库 {url} 由更新版本的 fromnoise 创建：请升级"
    ),
}
