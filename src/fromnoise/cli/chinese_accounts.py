"""The Chinese of `fromnoise users`."""

OURS = {
    "The name that they log in with.": "登录用的名字。",
    "Accounts of a server: add, list, remove, passwd.": "服务器的账户： add 、 list 、 remove 、 passwd 。",
    "Add an account; the password is asked for, or read from stdin.": "添加账户；会询问密码，或从标准输入读取。",
    "List the accounts.": "列出账户。",
    "Remove an account; its pictures stay.": "删除账户；其图片保留。",
    "Change a password; who is logged in is logged out.": "修改密码；已登录的会话会退出。",
    "An administrator, who may do everything.": "管理员，可以做任何事。",
    "Pictures that they may ask for in a day.": "每天可以请求的图片数。",
    "Room that their pictures may have.": "图片可占用的空间。",
    "the first account has to be an administrator's: add --admin": "第一个账户必须是管理员：请加上 --admin",
    "{name} can log in now": "{name} 现在可以登录了",
    "{count} pictures a day": "每天 {count} 张图片",
    "{name} is gone; their pictures stay": "已删除 {name}；其图片保留",
    "the password of {name} is changed": "已修改 {name} 的密码",
    "password: ": "密码：",
    "once more: ": "再输一次：",
    "these two are not the same": "两次输入的不一样",
}
