"""Validates messages of hetmm-plant against its schema, with the jsonschema package of Python.

usage: validate.py SCHEMA < MESSAGES

Each line of MESSAGES is a topic below hetmm/v1/SITE/DEVICE, a space, and the content. Answers have the topic `answer`.
Prints what is wrong and ends with 1, or prints how many messages of each topic are right.
"""

import collections
import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
counts = collections.Counter()
is_good = True
for line in sys.stdin:
    topic, content = line.rstrip("\n").split(" ", 1)
    name = topic.replace("/", "_")
    message = content if name == "alive" else json.loads(content)
    validator = jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"})
    for error in validator.iter_errors(message):
        is_good = False
        print(f"{topic}: {error.json_path}: {error.message}")
    counts[topic] += 1
print(" ".join(f"{topic}={count}" for topic, count in sorted(counts.items())))
sys.exit(0 if is_good else 1)
