"""Workflow documents that aim at cost: small to write, accepted by every rule of the language, dear to carry out.

Each shape is a function of the dice that gives templates and how to call the first of them; a document joins a few. Nothing here
knows a bound of the product: sizes are drawn evenly on a logarithmic scale, far beyond any.
"""

from __future__ import annotations

import json

LIMIT_BYTES = 1_000_000


def size(dice, low, high):
    """A whole number, small ones as likely as large ones by their order of magnitude."""
    return round(low * (high / low) ** dice.random())


def leaf(dice, name):
    """The cheapest thing that a call can end in."""
    if dice.random() < 0.5:
        return {"name": name, "suspend": {}}
    return {"name": name, "container": {"image": "host", "command": ["true"]}}


def call(name, template, **more):
    return {"name": name, "template": template, **more}


def calls_of_calls(dice, at):
    """Templates that each call the next several times: width to the power of depth."""
    depth, width = size(dice, 2, 60), size(dice, 1, 6)
    found = []
    for level in range(depth):
        below = [call(f"c{number}", f"{at}{level + 1}") for number in range(width)]
        in_turn, at_once = {"steps": [[one] for one in below]}, {"steps": [below]}
        kind = dice.choice((in_turn, at_once, {"dag": {"tasks": below}}))
        found.append({"name": f"{at}{level}", **kind})
    return [*found, leaf(dice, f"{at}{depth}")], call(at, f"{at}0")


def loops_in_loops(dice, at):
    """Loops that call loops."""
    depth = dice.randint(1, 4)
    found = []
    for level in range(depth):
        count = size(dice, 2, 200_000 if depth == 1 else 400)
        loop = {"withSequence": {"count": str(count)}}
        if dice.random() < 0.4:
            loop = {"withItems": list(range(min(count, 30_000)))}
        elif dice.random() < 0.3:
            loop = {"withParam": json.dumps(list(range(min(count, 30_000))))}
        found.append({"name": f"{at}{level}", "steps": [[call("l", f"{at}{level + 1}", **loop)]]})
    return [*found, leaf(dice, f"{at}{depth}")], call(at, f"{at}0")


def wide_dag(dice, at):
    """Tasks that each depend on many before them."""
    count, reach = size(dice, 2, 3000), size(dice, 1, 60)
    tasks = []
    for number in range(count):
        before = range(max(0, number - reach), number)
        depends = {"depends": " && ".join(f"(t{one} || t{one}.Failed)" for one in before)} if before else {}
        tasks.append(call(f"t{number}", f"{at}leaf", **depends))
    return [{"name": at, "dag": {"tasks": tasks}}, leaf(dice, f"{at}leaf")], call(at, at)


def doubling_values(dice, at):
    """A parameter that each call hands on twice as long."""
    depth = size(dice, 2, 60)
    found = []
    for level in range(depth):
        value = "{{inputs.parameters.p}}" * dice.randint(1, 3)
        arguments = {"parameters": [{"name": "p", "value": value}]}
        steps = [[call("c", f"{at}{level + 1}", arguments=arguments)]]
        found.append({"name": f"{at}{level}", "inputs": {"parameters": [{"name": "p"}]}, "steps": steps})
    last = {**leaf(dice, f"{at}{depth}"), "inputs": {"parameters": [{"name": "p"}]}}
    return [*found, last], call(at, f"{at}0", arguments={"parameters": [{"name": "p", "value": "x" * size(dice, 1, 1000)}]})


def dear_expressions(dice, at):
    """Expressions over data that they make themselves."""
    count = size(dice, 100, 100_000_000)
    text = dice.choice(
        (
            f"{{{{=len(map(1..{count}, {{# * 2}}))}}}}",
            f"{{{{=len(filter(1..{count}, {{# % 2 == 0}}))}}}}",
            f"{{{{=len(map(1..{min(count, 20000)}, {{len(map(1..{min(count, 20000)}, {{#}}))}}))}}}}",
            f"{{{{=sprig.repeat({count}, 'x')}}}}",
            f"{{{{=sum(map(1..{count}, {{#}}))}}}}",
            f"{{{{={'(' * min(count, 5000)}1{')' * min(count, 5000)}}}}}",
            f"{{{{={' + '.join(['1'] * min(count, 50_000))}}}}}",
            "{{=2 ** 2 ** 2 ** 2 ** 2 ** 2}}",
            "{{='" + "a" * min(count, 30_000) + "!' matches '^(a+)+$'}}",
        )
    )
    main = {**leaf(dice, at), "inputs": {"parameters": [{"name": "p"}]}}
    return [main], call(at, at, arguments={"parameters": [{"name": "p", "value": text}]})


def long_condition(dice, at):
    """A condition of many terms."""
    count = size(dice, 10, 30_000)
    term = dice.choice(("1 == 1", "'a' =~ 'a'", "(1 < 2)", "!(1 > 2)"))
    return [leaf(dice, at)], call(at, at, when=" && ".join([term] * count))


def retried(dice, at):
    """A step that fails at once and is tried again and again."""
    body = {"image": "host", "command": ["false"]}
    strategy = {"limit": str(size(dice, 2, 1_000_000)), "retryPolicy": "Always"}
    if dice.random() < 0.5:
        strategy["expression"] = " && ".join(["asInt(lastRetry.exitCode) > 0"] * size(dice, 1, 500))
    return [{"name": at, "container": body, "retryStrategy": strategy}], call(at, at)


def hooked(dice, at):
    """A node with many hooks."""
    hooks = {f"h{number}": {"template": f"{at}leaf", "expression": "true"} for number in range(size(dice, 1, 5000))}
    return [leaf(dice, at), leaf(dice, f"{at}leaf")], call(at, at, hooks=hooks)


def locked(dice, at):
    """Calls that each want many locks."""
    names = [{"name": f"{at}-{number}"} for number in range(size(dice, 1, 20_000))]
    main = {**leaf(dice, at), "synchronization": {"mutexes": names}}
    loop = {"withSequence": {"count": str(size(dice, 1, 300))}} if dice.random() < 0.5 else {}
    return [main], call(at, at, **loop)


def many_parameters(dice, at):
    """Parameters by the thousand, each used once, with long names or long values."""
    count, length = size(dice, 10, 10_000), size(dice, 1, 5000)
    names = [f"p{number}" + "n" * min(length, 300_000 // count) for number in range(count)]
    given = [{"name": name, "value": "v"} for name in names]
    source = "".join(f"{{{{inputs.parameters.{name}}}}}" for name in names)
    script = {"image": "host", "command": ["sh"], "source": f": '{source}'"}
    main = {"name": at, "inputs": {"parameters": given}, "script": script}
    return [main], call(at, at)


def recursive(dice, at):
    """A template that calls itself for ever, once or several times."""
    again = [call(f"c{number}", at) for number in range(dice.randint(1, 3))]
    return [{"name": at, "steps": [again]}], call(at, at)


def nested_inline(dice, at):
    """Templates written inside one another."""
    body = {"suspend": {}}
    for _ in range(size(dice, 2, 30)):
        body = {"steps": [[{"name": "i", "inline": body}]]}
    return [{"name": at, **body}], call(at, at)


def long_names(dice, at):
    """Names as long as they may be, one below the other."""
    length, depth = dice.randint(10, 120), dice.randint(1, 30)
    found = [
        {"name": f"{at}{level}", "steps": [[call(f"s{level}" + "y" * length, f"{at}{level + 1}")]]} for level in range(depth)
    ]
    return [*found, leaf(dice, f"{at}{depth}")], call(at, f"{at}0")


SHAPES = (
    calls_of_calls,
    loops_in_loops,
    wide_dag,
    doubling_values,
    dear_expressions,
    long_condition,
    retried,
    hooked,
    locked,
    many_parameters,
    recursive,
    nested_inline,
    long_names,
)


def generate(dice, name, shapes=SHAPES):
    """One document of one to three shapes, below a megabyte."""
    while True:
        templates, calls = [], []
        for number, shape in enumerate(dice.sample(shapes, min(len(shapes), dice.choice((1, 1, 2, 3))))):
            found, first = shape(dice, f"{'xyz'[number]}")
            templates += found
            calls.append(first)
        spec = {"entrypoint": "main", "templates": [{"name": "main", "steps": [calls]}, *templates]}
        if dice.random() < 0.2:
            spec["parallelism"] = size(dice, 1, 100)
        if dice.random() < 0.1:
            spec["synchronization"] = {"mutexes": [{"name": f"m{number}"} for number in range(size(dice, 1, 20_000))]}
        body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}
        if len(json.dumps(body)) < LIMIT_BYTES:
            return body


def shrink(value):
    """Values that are a little less: lists by halves and by one, numbers by halves, texts by halves; the boldest first."""
    match value:
        case list():
            half = len(value) // 2
            yield from (value[:half], value[half:]) if half else ()
            yield from (value[:number] + value[number + 1 :] for number in range(min(len(value), 12)))
            yield from ([*value[:n], one, *value[n + 1 :]] for n in range(min(len(value), 40)) for one in shrink(value[n]))
        case dict():
            yield from ({k: v for k, v in value.items() if k != key} for key in value)
            yield from ({**value, key: one} for key in value for one in shrink(value[key]))
        case str() if value.isdigit() and int(value) > 1:
            yield str(int(value) // 2)
        case str() if len(value) > 60:
            yield value[: len(value) // 2]
            yield value[len(value) // 2 :]
        case int() if value > 1 and not isinstance(value, bool):
            yield value // 2
