#!/usr/bin/env python3
"""A bundled needle model from nothing: corpus, tokenizer, training, export, evaluation, card.

    python3 training/needle/make.py --model needle-4l --work build/needle --out models/needle-4l
    python3 training/needle/make.py --model needle-8l --work build/needle --out models/needle-8l \\
        --grow-from build/needle/needle-4l.pt

Options are train.py's. Needs torch, tokenizers, safetensors, numpy and, for the comparison at the end,
transformers; and a Debian machine for the text (see corpus.py).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import subprocess
import sys

import export
import train

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    train.add_options(parser)
    parser.add_argument("--out", required=True, help="the model's folder")
    parser.add_argument("--lengths", default="4096,32768,131072", help="tokens, for the evaluation")
    args = parser.parse_args()
    train.train(args)
    export.export(args.model, args.work, args.out)
    counts = os.path.join(args.work, args.model + "-evaluation.json")
    for command in (["export.py", "--verify", args.out],
                    ["evaluate.py", args.out, "--work", args.work, "--lengths", args.lengths,
                     "--threads", str(args.threads), "--json", counts],
                    ["card.py", args.out, counts]):
        subprocess.run([sys.executable, os.path.join(HERE, command[0]), *command[1:]], check=True)


if __name__ == "__main__":
    main()
