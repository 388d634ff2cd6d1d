"""The catalogue of what is odd in prompts; `chinese.py` joins it."""

OURS = {
    "{prompt}, character {position}, {excerpt!r}: {warning}": "{prompt} 第 {position} 个字符 {excerpt!r}：{warning}",
}

ELSEWHERE = {
    "no wildcard is called {name}: read as text": "没有叫 {name} 的通配符，按文字处理",
    "a curly bracket is not closed: read as text": "花括号没有配对，按文字处理",
    "too many choices inside each other or too long: left out": "选择嵌套太多或太长，已略去",
    "AND inside brackets is a word": "括号里的 AND 按普通单词处理",
    "the whole prompt has the weight {weight}": "整条提示词的权重是 {weight}",
    "nothing stands on one side of this AND: that side is left out": "AND 的一侧没有内容，已略去这一侧",
    "a stray '|' or '\\' turns all editing off": "多余的“|”或“\\”使所有提示词编辑失效",
    "more than {count} edits inside each other: read as text": "提示词编辑嵌套超过 {count} 层，按文字处理",
    "{bracket} is not closed: it acts to the end of the prompt": "{bracket} 没有配对，作用到提示词末尾",
    "{bracket} is not closed": "{bracket} 没有配对",
    "{bracket} is not closed: read as text": "{bracket} 没有配对，按文字处理",
    "{text} is not a number: read as text": "{text} 不是数字，按文字处理",
    "{what} {text} is not a number: 1 is taken": "{what} 的值 {text} 不是数字，按 1 处理",
    "weight {weight} is limited to {limit}": "权重 {weight} 限制为 {limit}",
    "')' closes nothing: read as text, and so is a later '('": "“)”没有配对，按文字处理，后面的“(”也是",
    "{bracket} closes nothing: read as text": "{bracket} 没有配对，按文字处理",
    "no kind of network is called {word}: {known}": "没有叫 {word} 的网络种类，可用：{known}",
    "a network without a name, or with one that is too long: left out": "网络没有名字，或名字太长，已略去",
    "{field}= is not understood; a network knows {known} and step=2-10": (
        "不认识 {field}=；网络的参数有 {known} 和 step=2-10"
    ),
    "{what} {value} is limited to {limit}": "{what} 的值 {value} 限制为 {limit}",
    "lbw {blocks} is left out: {reason}": "略去 lbw {blocks}：{reason}",
}
