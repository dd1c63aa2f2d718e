"""For every rule, rows that make it speak; and rows on which all are silent."""

import csv
import io

FAULTS = [
    ("pump 3 trips after ten minutes", "pump"),
    ("the suction side of the pump draws air", "pump"),
    ("seal leaks, puddle under the skid", "pump"),
    ("no flow although the impeller turns", "pump"),
    ("noise like gravel near the inlet", "pump"),
    ("casing too hot to touch", "pump"),
    ("shaft wobbles at full speed", "pump"),
    ("priming fails every morning", "pump"),
    ("hall 2 stays dark", "lamp"),
    ("flickers when the crane starts", "lamp"),
    ("smell of burnt plastic at the ceiling", "lamp"),
    ("switch has no effect any more", "lamp"),
    ("tube glows only at its ends", "lamp"),
    ("emergency sign does not light up", "lamp"),
    ("glass cracked by a forklift", "lamp"),
    ("half of the row goes out at night", "lamp"),
]
CHINESE = [
    ("启动十分钟后跳闸", "水泵"),
    ("吸入口进空气", "水泵"),
    ("机封漏水，地面积水", "水泵"),
    ("叶轮转动但没有流量", "水泵"),
    ("进口处有沙砾般的噪声", "水泵"),
    ("壳体烫手", "水泵"),
    ("全速时轴晃动", "水泵"),
    ("每天早上都灌不上水", "水泵"),
    ("二号车间一直不亮", "照明"),
    ("行车一启动就闪烁", "照明"),
    ("天花板有烧焦味", "照明"),
    ("开关按了没有反应", "照明"),
    ("只有两端发红", "照明"),
    ("应急标志不亮", "照明"),
    ("玻璃被叉车撞裂", "照明"),
    ("夜里半排会熄灭", "照明"),
]


def plus(*rows):
    """The clean rows and some more."""
    return {"train": [*FAULTS, *rows]}


def raw(more: bytes) -> dict:
    """The clean rows as a file, and bytes after them."""
    lines = "".join(f'"{text}",{label}\n' for text, label in FAULTS)
    return {"train": f"text,label\n{lines}".encode() + more}


LONG = "vibration at the drive end was measured again " * 40
TWIN = ("the suction side of the pump draws air", "pump")
#: code -> what makes it speak: files by part, and options.
DIRTY = {
    "format-encoding": {
        "train": "".join(
            f"{text},{label}\n" for text, label in [("text", "label"), *CHINESE]
        ).encode()
        + "水泵".encode()[:-1]
        + b" hums,pump\n"
    },
    "format-ragged": raw(b"one,two,three,four\n"),
    "format-quotes": raw(b'"a quote "inside" it",pump\n"never closed,pump\n'),
    "format-header": raw(b"text,label\n"),
    "format-spaces": raw(b'"motor hums",pump \n'),
    "format-control": raw(b'"motor \x07 hums",pump\n'),
    "empty-text": plus(("", "pump")),
    "empty-label": plus(("motor hums", "")),
    "truncated-characters": plus((LONG, "pump")) | {"max_characters": 500},
    "duplicate-exact": plus(TWIN),
    "duplicate-normal": plus(("The suction side of the pump draws AIR!", "pump")),
    "duplicate-near": plus(("the suction side of the pump 2 draws air", "pump")),
    "label-conflict": plus(("The suction side of the pump draws air.", "lamp")),
    "label-typo": {"train": [*((t, f"{y} fault") for t, y in FAULTS), ("x y z", "Lamp-fault")]},
    "leak-exact": {"train": FAULTS, "test": [TWIN, ("motor hums", "pump")]},
    "leak-near": {
        "train": FAULTS,
        "test": [("the suction side of the pump 2 draws air", "pump")],
    },
    "leak-group": {
        "train": [(*row, f"machine {k}") for k, row in enumerate(FAULTS)],
        "test": [("motor hums", "pump", "machine 3")],
        "header": ("text", "label", "machine"),
        "group": "machine",
    },
    "leak-label-in-text": {
        "train": [(f"{text}, valve", "valve") for text, _ in FAULTS[:8]] + FAULTS[8:]
    },
    "balance-unique": {"train": [(text, f"case {k}") for k, (text, _) in enumerate(FAULTS)]},
    "balance-single": plus(("motor hums", "motor")),
    "balance-few": plus(("motor hums", "motor"), ("motor is hot", "motor")),
    "balance-ratio": plus(("motor hums", "motor")) | {"ratio": 4},
    "balance-unseen": {"train": FAULTS, "test": [("motor hums", "motor")]},
    "length-outlier": plus((LONG, "pump")),
    "private-email": plus(("call li.wei@example.com about it", "pump")),
    "private-phone": plus(("电话13812345678，请回复", "pump")),
    "private-id-cn": plus(("报修人身份证11010519491231002X", "pump")),
    "private-card": plus(("paid with 4539 1488 0343 6467", "pump")),
    "private-key": plus(("token ghp_0123456789abcdefghijABCDEFGHIJ012345 leaked", "pump")),
}


def table(rows, header=("text", "label")) -> bytes:
    """A csv file."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode("utf-8")
