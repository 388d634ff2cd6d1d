"""The Chinese of `fromnoise serve` and `fromnoise studio`."""

OURS = {
    "Serve pictures over HTTP: our own interface, AUTOMATIC1111's and OpenAI's.": (
        "通过 HTTP 提供服务：本项目自己的接口，以及 AUTOMATIC1111 和 OpenAI 的接口。"
    ),
    "The address to listen at; any but this machine's own needs a token.": "监听地址；除本机地址外都需要令牌。",
    "The port to listen at.": "监听端口。",
    "What callers must know; may be given often.": "调用者必须出示的令牌，可以给出多个。",
    "A name that the server answers to, besides localhost.": "除 localhost 外，服务器应答的主机名。",
    "A site whose pages may call the server.": "允许其网页调用本服务器的网站。",
    "A device to work on; a worker for each.": "使用的设备；每个设备一个工作进程。",
    "Where pictures go.": "图片存放的文件夹。",
    "What the program may take of each device's memory, such as 4GB.": "程序最多可占用每个设备多少内存，例如 4GB。",
    "A certificate (PEM) that signs every picture: C2PA.": "为每张图片签名（C2PA）的证书文件（PEM）。",
    "{file}: no such file": "{file}：没有这个文件",
    "The key of that certificate.": "该证书的私钥文件。",
    "--c2pa-certificate and --c2pa-key go together: give both": "--c2pa-certificate 和 --c2pa-key 须同时给出",
    "Work in this process, though a server is running that would do it.": "在本进程中生成，不交给运行中的服务器。",
    "a server is running and makes it, seed {seed}; --local works here": (
        "有服务器在运行，由它生成，种子 {seed}；加 --local 则在本进程生成"
    ),
    "a server is running and does it; --local works here": "有服务器在运行，由它来做；加 --local 则在本进程中做",
    "the server has stopped; --local makes the picture here": "服务器已停止；加 --local 可在本进程生成",
    "Open no browser; the address is printed all the same.": "不打开浏览器；地址仍会打印出来。",
    "Open the studio, a page in the browser; without a command this is it.": (
        "打开工作室，即浏览器中的网页；不带命令时就是它。"
    ),
    "the studio's page is not built: python launch.py builds it, and opens it": (
        "工作室的网页尚未构建：python launch.py 会构建并打开它"
    ),
    "the studio is open already, at {address}": "工作室已经打开：{address}",
    "serving at http://{host}:{port} (Ctrl-C stops)": "服务地址 http://{host}:{port}（按 Ctrl-C 停止）",
}
