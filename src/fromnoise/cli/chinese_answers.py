"""Chinese of what the server answers, and of what its queue and workers say."""

ELSEWHERE = {
    "this server keeps no accounts": "这台服务器没有启用账号",
    "no such token": "没有这个令牌",
    "the first user has to be an administrator: nobody could add others": (
        "第一个用户必须是管理员：否则没有人能添加别人"
    ),
    "{name} is the only administrator: make somebody else one first": ("{name} 是唯一的管理员：请先把别人设为管理员"),
    "nothing is known of how that picture was made": "不知道这张图片是怎么生成的",
    "only an administrator may change models and data sets": "只有管理员可以改动模型和数据集",
    "a picture that it was made from is not here any more: send it to /images": (
        "生成它所用的图片已经不在了：请重新上传"
    ),
    "no worker knows work of the kind {kind}": "没有工作进程会做 {kind} 这种任务",
    "no extension answers there": "那里没有扩展响应",
    "too many calls at once; come back a little later": "请求太多；请稍后再试",
    "at most {limit} bytes are taken": "最多接受 {limit} 字节",
    "the extension at {place} failed; the server's log says more": "扩展 {place} 出错了；详情见服务器日志",
    "a text holds a NUL character": "文本里有空字符（NUL）",
    "there is no such folder on the server's machine": "服务器上没有这个文件夹",
    "the job has no result {number}": "这个任务没有第 {number} 个结果",
    "the built-in model comes with the package and stays": "内置模型随软件提供，不能移除",
    "{name} can't be moved ({reason})": "无法移动 {name}（{reason}）",
    "no such file is on the shelf {kind}": "{kind} 文件夹里没有这个文件",
    "no picture lies beside that model": "这个模型旁边没有预览图",
    "only an administrator's jobs may overtake others": "只有管理员的任务可以插队",
    "too many jobs at once; come back a little later": "一次提交的任务太多；请稍后再试",
    "folder: only plain names, parted by slashes": "文件夹：只能用普通的名字，以斜杠分隔",
    "accept the terms of use first: /api/v1/terms has them": "请先接受使用条款",
    "name: it is another one in the address": "名称与地址中的不一致",
    "no style {name} was made here; others are in files of their own": (
        "样式 {name} 不是在这里建立的；别的样式在它们自己的文件里"
    ),
    "there is no wildcard {name}": "没有通配符 {name}",
    "there is no list of tags {name}": "没有标签列表 {name}",
    '{name}: {count} of its lines are no tags and are left out; a line is name,category,count,"aliases"': (
        '{name}：有 {count} 行不是标签，已略去；每行应为：名称,类别,数量,"别名"'
    ),
    "{name}: only its first {count} tags are used": "{name}：只使用前 {count} 个标签",
    "the terms are other ones by now: read them again": "条款已经更新：请重新阅读",
    "that job is no training": "这个任务不是训练",
    "a password has at least {count} characters": "密码至少要有 {count} 个字符",
    "say who you are: a token, or a name and a password": "请登录：用令牌，或用户名和密码",
    "wrong token, or wrong name or password": "令牌错误，或用户名、密码错误",
    "the Authorization header can't be read": "无法读取 Authorization 头",
    "too many wrong passwords; wait some minutes": "密码错误次数太多；请等几分钟",
    "no user {name}: fromnoise users list shows who there is": ("没有用户 {name}：fromnoise users list 会列出所有用户"),
    "{name} can't be a user's name: small letters, digits, - and _, at most 32 of them": (
        "{name} 不能作用户名：只能用小写字母、数字、- 和 _，最多 32 个"
    ),
    "there is a user {name} already": "已经有用户 {name}",
    "{name} has {count} tokens already: remove some": "{name} 已经有 {count} 个令牌：请删掉一些",
    "there is no such file": "没有这个文件",
    "only an administrator may do that": "只有管理员可以这样做",
    "the server's disk is full: make room on it": "服务器磁盘已满：请腾出空间",
    "too many pictures at once; come back a little later": "一次上传的图片太多；请稍后再试",
    "the job was cancelled": "任务已取消",
    "the job was {state}": "任务的状态是 {state}",
    "the picture is not finished yet; it goes on as the job {job}": "图片还没有完成；任务 {job} 会继续",
    "{text} is no rate; write one such as 30/minute": "{text} 不是频率；请写成 30/minute 这样",
    "that is no PNG, JPEG or WebP picture": "这不是 PNG、JPEG 或 WebP 图片",
    "no such picture was sent, or it was removed": "没有上传过这张图片，或它已被删除",
    "a picture may have {limit} bytes, this one has {size}": "图片最多 {limit} 字节，这张有 {size}",
    "a picture may have {limit} pixels, this one is {width}x{height}": (
        "图片最多 {limit} 像素，这张是 {width}x{height}"
    ),
    "addresses are not fetched: send the picture itself, in base64": "不会去下载网址：请直接发送图片（base64）",
    "a picture's base64 can't be read": "图片的 base64 无法读取",
    "that picture takes more memory or time than one may": "这张图片需要的内存或时间超过上限",
    "too many pictures are sent at once": "一次上传的图片太多",
    "something went wrong on the server; its log says what": "服务器出错了；原因见它的日志",
    "no job {job}: it may have been removed": "没有任务 {job}：它可能已被删除",
    "the idempotency key {key} belongs to another job: use a new one": ("这个请求键 {key} 属于另一个任务：请换一个"),
    "{whose} {count} jobs waiting, which is the limit: try again in {seconds} s": (
        "等待的任务已达上限（{count} 个）：请 {seconds} 秒后再试"
    ),
    "no picture {picture}: it may have been removed": "没有图片 {picture}：它可能已被删除",
    "the job is {state}: it stands in no line": "任务的状态是 {state}，不在队列里",
    "the job is {state} already": "任务的状态已经是 {state}",
    "the job is {state}, not paused": "任务的状态是 {state}，没有暂停",
    "the job is {state}: only failed and cancelled jobs are tried again": (
        "任务的状态是 {state}：只有失败或取消的任务可以重试"
    ),
    "only jobs that wait, of one owner and priority, can change places": (
        "只有同一用户、同一优先级的等待任务可以换位置"
    ),
    "the job is {state}: cancel it first": "任务的状态是 {state}：请先取消",
    "{count} pictures a day are what you may ask for": "你每天最多可以生成 {count} 张图片",
    "your pictures have as much room as they may: empty the bin, or delete some": (
        "你的图片已用完空间：请清空回收站，或删掉一些"
    ),
    "the request took too long to come": "请求发送得太慢",
    "the server is restarting; try again in a moment": "服务器正在重启；请稍后再试",
    "that file could not be read: reading it took too long, or failed": "无法读取这个文件：读取超时或失败",
    "the picture {picture} is not there any more": "图片 {picture} 已经不在了",
    "{path} is there already: move it out of the way": "已经有 {path}：请先把它移开",
    "{pattern}: every such name is taken; choose another pattern": ("{pattern}：这样的名字都用完了；请换一个命名规则"),
    "{what} bytes of UTF-8 are too long: {limit} fit": "{what} 字节（UTF-8）太长：最多 {limit}",
    "{name} is no name: give 1 to {most} characters": "{name} 不能作名字：请给 1 到 {most} 个字符",
    "preferences have at most {most} characters, and no NUL among them": ("设置最多 {most} 个字符，且不能有空字符"),
    "a job has {size} bytes; at most {limit} are accepted": "任务有 {size} 字节；最多接受 {limit}",
    "a job can't be stored: a text in it holds a NUL character": "无法保存任务：其中的文本有空字符（NUL）",
    "a job can't be stored: {reason}": "无法保存任务：{reason}",
    "{name} can't be shown ({reason})": "无法显示 {name}（{reason}）",
    "{name} is too large to be shown": "{name} 太大，无法显示",
    "nothing was kept of that step": "这一步没有保存",
    "there are {count} of them, counted from 0": "一共有 {count} 个，从 0 数起",
    "this command was not typed on the machine whose worker took it; --local works there": (
        "这条命令不是在执行它的机器上输入的；可加 --local"
    ),
    "the folder in which this command was typed is gone": "输入这条命令时所在的文件夹已经不在了",
    "examining the machine failed: fromnoise doctor on the command line says why": (
        "检查机器失败：在命令行运行 fromnoise doctor 可看到原因"
    ),
    "examining the machine took too long; it is very busy": "检查机器超时；机器太忙",
    "a check of pictures is not there ({name}): no picture leaves unchecked": (
        "缺少图片审核（{name}）：未经审核的图片不会放出"
    ),
    "the check {name} failed ({reason}): no picture leaves unchecked": (
        "审核 {name} 出错（{reason}）：未经审核的图片不会放出"
    ),
    "{path} has changed since the job was asked for": "{path} 在提交任务后被改动过",
    "the job names no picture": "任务没有指定图片",
    "{path} is not there any more": "{path} 已经不在了",
    "{path} is no folder: give the path of one with pictures": "{path} 不是文件夹：请给出图片文件夹的路径",
    "the watermark {text} is too long: {limit} bytes of UTF-8 fit": ("水印 {text} 太长：最多 {limit} 字节（UTF-8）"),
    "a picture of {width}x{height} is too small for the operator's watermark: 128x128": (
        "{width}x{height} 的图片放不下运营者的水印：至少 128x128"
    ),
    "{name} is there already: choose another name, or ask to replace it": ("已经有 {name}：请换个名字，或勾选替换"),
    "no script is called {name}": "没有叫 {name} 的脚本",
    "{count} pictures are too many: at most {limit} can be asked for at once": (
        "{count} 张图太多：一次最多 {limit} 张"
    ),
    "a sheet has 1 to {most} pictures": "一张大图可放 1 到 {most} 张图",
    "none of the pictures was made, so there is no sheet": "没有一张图生成成功，所以没有大图",
    "a sheet has a picture for each of its places": "大图的每个位置都要有一张图",
    "no such file is on that shelf: look again at the shelves": "那个文件夹里没有这个文件：请刷新模型列表",
    "training was ended by {what} {count} times at the same place": "训练在同一处被 {what} 中断了 {count} 次",
    "the worker was lost {count} times while it was at it": "处理它的工作进程已经丢失 {count} 次",
    "Field required": "必须填写",
    "Input should be a valid integer, {why}": "应为整数",
    "Input should be a valid integer": "应为整数",
    "Input should be a valid number, {why}": "应为数字",
    "Input should be a valid number": "应为数字",
    "Input should be a valid string": "应为文本",
    "Input should be a valid boolean, {why}": "应为是或否",
    "Input should be a valid boolean": "应为是或否",
    "Input should be a valid list": "应为列表",
    "Input should be a finite number": "应为有限的数",
    "Input should be less than or equal to {limit}": "不能大于 {limit}",
    "Input should be greater than or equal to {limit}": "不能小于 {limit}",
    "Input should be less than {limit}": "必须小于 {limit}",
    "Input should be greater than {limit}": "必须大于 {limit}",
    "Input should be a multiple of {step}": "必须是 {step} 的倍数",
    "Input should be {choices}": "应为 {choices}",
    "String should have at most {n} characters": "最多 {n} 个字符",
    "String should have at most {n} character": "最多 {n} 个字符",
    "String should have at least {n} characters": "至少 {n} 个字符",
    "String should have at least {n} character": "至少 {n} 个字符",
    "String should match pattern {pattern}": "格式应为 {pattern}",
    "List should have at most {n} items after validation, not {there}": "最多 {n} 项，这里有 {there} 项",
    "List should have at least {n} items after validation, not {there}": "至少 {n} 项，这里有 {there} 项",
    "List should have at least {n} item after validation, not {there}": "至少 {n} 项，这里有 {there} 项",
    "Dictionary should have at most {n} items after validation, not {there}": "最多 {n} 项，这里有 {there} 项",
    "Extra inputs are not permitted": "没有这一项",
    "Not Found": "没有这个地址",
    "Method Not Allowed": "不支持这种请求",
    "JSON is written in UTF-8": "JSON 应为 UTF-8",
    "too many tables in tables": "嵌套的表太多",
    "too many values": "值太多",
    "more than {count} tables in tables": "嵌套超过 {count} 层",
    "a name is there twice in one table": "同一个表里有重复的名字",
    "{text} is no JSON": "{text} 不是 JSON",
    "a number is too large": "有数字太大",
    "half of a surrogate pair in a text": "文本里有不完整的字符",
    "a preprocessor of a package outside runs in workers alone": "外部扩展的预处理器只能在工作进程里运行",
    "C2PA needs c2pa-python: pip install fromnoise[c2pa]": ("C2PA 需要安装 c2pa-python：pip install fromnoise[c2pa]"),
    "C2PA: {path} can't be read or written ({reason})": "C2PA：{path} 无法读写（{reason}）",
    "C2PA: the certificate or its key can't sign ({reason}); both are PEM, of ES256": (
        "C2PA：证书或密钥不能签名（{reason}）；两者都应为 ES256 的 PEM"
    ),
}
