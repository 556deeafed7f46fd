"""A number of rules in, a recipe for `networks.residual` out: what people write, each rule about its stage."""

from __future__ import annotations

from corecast.lang import Source

HEAD = """\
recipe scale "1.0"

let stem = nn.conv2d #0..3
let tail = nn.conv2d -> add -> nn.relu

skip stem
skip nn.conv2d where in_channels < 4

"""

# Names, numbers, neighbours, chains, ordinals, regular expressions, sets, skips of a rule's own.
KINDS = (
    "match nn.conv2d #k where groups == 1 and out_channels % 8 == 0 {where}\n  set layout NHWC unless skipped\n"
    "  cast float16 unless skipped",
    'match nn.conv2d where name like "stage{stage}.*" and kernel_height == 3\n  cast bfloat16',
    "match nn.conv2d where feeds add and flops > 1000 and ordinal % 50 == {stage}\n  tune tensorcore trials 8",
    "match c: nn.conv2d -> add -> r: nn.relu where c.out_channels > 4 and c.ordinal % 53 == {stage}\n"
    "  cast float16 on r\n  set layout NHWC on c",
    "match nn.conv2d #k where k not in {{0, 3..{stage}, -1}} and not depthwise and k % 50 == {stage}\n"
    "  set layout NHWC kernel HWIO",
    "match (add or nn.relu) where ordinal % 50 == {stage} except nn.relu where ordinal < {stage}\n  cast float16",
    "match * where name ~ /stage{stage}\\.block\\d+\\.conv[01]\\.weight/\n  keep dtype",
    "match nn.conv2d where fed_by nn.relu and depth > {stage} and depth % 50 == {stage}\n"
    "  cast int8 else float16 else keep",
    'match nn.* where inside tail and intensity > 0.1 and source like "block*{stage}/*"\n'
    "  keep layout\n  keep schedule",
    'skip nn.conv2d where depthwise\n  match nn.conv2d where source like "block*{stage}/conv*" and users == 1\n'
    "  set layout HWNC",
)


def rules(count: int) -> Source:
    """The first rule is about all stages where it is the only one."""
    texts = []
    for stage in range(count):
        where = f'and name like "stage{stage}.*"' if count > 1 else ""
        body = KINDS[stage % len(KINDS)].format(stage=stage, where=where)
        texts.append(f"rule stage_{stage}\n  {body}\n  optional\n")
    return Source(f"{count}.rules", HEAD + "\n".join(texts))


LLAMA = Source(
    "llama.rules",
    """\
recipe llama "1.0"

let mlp = nn.dense where out_channels > 20000 or in_channels > 20000

skip nn.dense #-1
skip nn.dense where name like "layers.0.*" or name like "layers.79.*"

rule narrow_mlp
  match mlp where not name like "*.w2.weight"
  cast float8_e4m3fn -> float32 unless skipped
  expect == 156

rule down_projections
  match mlp where name like "*.w2.weight"
  cast bfloat16 -> float32 unless skipped
  expect == 78

rule projections
  match nn.dense except mlp
  tune tensorcore trials 8 unless skipped

rule attention
  match matmul
  tune tensorcore trials 8
""",
)
