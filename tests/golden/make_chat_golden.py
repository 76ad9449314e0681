#!/usr/bin/env python3
"""Dialogs as the chat template of Llama 4 in `transformers` renders them (its models/llama4).

SPDX-License-Identifier: Apache-2.0

usage: make_chat_golden.py > tests/golden/tokenizer/chat_template.json
needs: pip install transformers jinja2; made with transformers 5.23.0
"""
import copy
import json
import sys

import transformers
from transformers.models.llama4.processing_llama4 import chat_template
from transformers.utils.chat_template_utils import render_jinja_template

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather",
        "description": "Weather of a \"place\": <|eot|> & 'more' — Zürich",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "enum": ["Zürich", "Bern \U0001F3D4"]},
            "days": {"type": "integer", "default": 3},
            "ratio": {"type": "number", "default": 1e-5, "maximum": 1e16}},
            "required": ["city"]}}},
    {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}, "required": []}},
]


def call(name, arguments):
    return {"function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "\u00a0 Be brief.\n\t"}
QUESTION = {"role": "user", "content": "  Weather in Zürich?\n"}
NESTED = {"a": [1, 2.5, None, True, {"b": "\\\"\n"}], "c": 1e22, "d": 0.1, "e": -0.0,
          "g": 12345678901234567890123}
TALK = [
    QUESTION,
    {"role": "assistant", "content": "",
     "tool_calls": [call("get_weather", {"city": "Zürich", "days": 2}), call("f", {})]},
    {"role": "tool", "content": "{\"temperature\": 21}"},
    {"role": "ipython", "content": "line\n\"é\"\u007f\u0001"},
    {"role": "assistant", "content": "21 degrees. "},
    {"role": "user", "content": " And\nnow? "},
    {"role": "assistant", "content": "I look.", "tool_calls": [call("f", NESTED)]},
    {"role": "tool", "content": ""},
]


def dialog(messages, tools=None, place=None):
    extra = {} if place is None else {"tools_in_user_message": place == "user"}
    rendered, _ = render_jinja_template(
        conversations=[messages], tools=tools, chat_template=chat_template,
        add_generation_prompt=True, bos_token="<|begin_of_text|>", **extra)
    messages = copy.deepcopy(messages)
    for message in messages:
        for c in message.get("tool_calls", []):
            c["name"] = c["function"]["name"]
            c["arguments"] = json.dumps(c.pop("function")["arguments"], separators=(",", ":"))
    return {"messages": messages, "tools": json.dumps(tools) if tools else "",
            "place": place or "", "text": rendered[0]}


def main():
    dialogs = [
        dialog([QUESTION]),
        dialog([SYSTEM, QUESTION]),
        dialog([SYSTEM] + TALK),
        dialog(TALK),
        dialog([SYSTEM] + TALK, TOOLS, "system"),
        dialog([SYSTEM] + TALK, TOOLS, "user"),
        dialog(TALK, TOOLS, "user"),
        dialog(TALK[:1], TOOLS[:1]),
    ]
    json.dump({"source": f"transformers {transformers.__version__}", "template": chat_template,
               "dialogs": dialogs},
              sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
