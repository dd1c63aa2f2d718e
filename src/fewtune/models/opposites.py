"""Words that a model takes for like ones and that mean the opposite, or another thing of a row.

They stand in the same sentences, so tables of embeddings have them near one another (of MiniLM:
positive and negative 0.67, strong and weak 0.60, monday and tuesday 0.75), and a masked head takes
either. A text's label rarely survives the exchange.
"""

from __future__ import annotations

from functools import cache

#: The words of a line do not stand for one another.
LINES = """
good better best great excellent fine nice | bad worse worst poor awful terrible horrible
high higher highest | low lower lowest
increase increases increased increasing rise rises rising rose | decrease decreases decreased \
decreasing fall falls falling fell reduced
strong stronger strongest strength | weak weaker weakest weakness
positive positively | negative negatively
hot hotter warm heat | cold colder cool
open opens opened opening | close closes closed closing shut
start starts started starting begin began | stop stops stopped stopping end ended
full | empty
loose loosened loosely | tight tightened tightly
fast faster quick quickly rapidly | slow slower slowly
cheap cheaper inexpensive | expensive costly
love loves loved | hate hates hated
like likes liked | dislike dislikes disliked
happy glad pleased | sad unhappy angry
interesting exciting fascinating | boring dull tedious
success successful succeed succeeds | failure unsuccessful fail fails failed
front | rear back | left | right | upper top | lower bottom | inner inside | outer outside
male man men boy boys | female woman women girl girls
north | south | east | west
true | false | yes | no | with | without | more | less | before | after | always | never
inlet intake | outlet exhaust
input | output
monday | tuesday | wednesday | thursday | friday | saturday | sunday
january | february | march | april | june | july | august | september | october | november \
| december
好 优秀 满意 喜欢 推荐 | 坏 差 糟糕 失望 讨厌
高 升高 上升 增大 增加 偏高 过高 | 低 降低 下降 减小 减少 偏低 过低
快 | 慢
大 | 小
多 | 少
热 高温 | 冷 低温
开 打开 启动 开启 | 关 关闭 停止 停机
左 | 右 | 上 | 下 | 前 | 后 | 内 | 外
正常 成功 合格 | 异常 失败 不合格
便宜 | 贵
干净 | 脏
安静 | 吵
松 松动 | 紧 卡死
进 进口 | 出 出口
"""


def are_opposites(one: str, other: str) -> bool:
    """Whether two words stand on different sides of a line.

    >>> are_opposites("Good", "bad"), are_opposites("good", "great"), are_opposites("good", "pump")
    (True, False, False)
    """
    sides = _sides()
    first, second = sides.get(one.casefold(), {}), sides.get(other.casefold(), {})
    return any(second.get(line, side) != side for line, side in first.items())


@cache
def _sides() -> dict[str, dict[int, int]]:
    """Word -> number of a line -> its side there."""
    found: dict[str, dict[int, int]] = {}
    for line, text in enumerate(LINES.strip().splitlines()):
        for side, words in enumerate(text.split("|")):
            for word in words.split():
                found.setdefault(word, {})[line] = side
    return found
