#!/usr/bin/env python3
"""A bundled needle model from nothing: corpus, tokenizer, training, files, comparison with transformers.

    python3 training/needle/make.py --model needle-4l --work build/needle --out models/needle-4l
    python3 training/needle/make.py --model needle-8l --work build/needle --out models/needle-8l \\
        --grow-from build/needle/needle-4l.pt

Options are train.py's. Needs torch, tokenizers, safetensors, numpy and, for the comparison at the end,
transformers; and a Debian machine for the text (see corpus.py). With a build of libscout beside it,
--accuracy also measures the model and writes its card (hours; see scripts/needle_accuracy).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import subprocess
import sys

import export
import train

HERE = os.path.dirname(os.path.abspath(__file__))
ACCURACY = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "needle_accuracy")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    train.add_options(parser)
    parser.add_argument("--out", required=True, help="the model's folder")
    parser.add_argument("--accuracy", action="store_true", help="measure it and write its card")
    parser.add_argument("--lengths", default="4096,131072,1048576", help="tokens, of --accuracy")
    args = parser.parse_args()
    train.train(args)
    export.export(args.model, args.work, args.out)
    run = lambda *command: subprocess.run([sys.executable, *command], check=True)
    run(os.path.join(HERE, "export.py"), "--verify", args.out)
    if args.accuracy:
        runs = os.path.join(args.work, args.model + ".json")
        run(ACCURACY, args.out, "--corpus", os.path.join(args.work, "corpus"), "--lengths", args.lengths,
            "--json", runs)
        run(os.path.join(HERE, "card.py"), args.out, runs)


if __name__ == "__main__":
    main()
