#!/usr/bin/env python3
# Makes tests/golden/codecs/TYPE.bin: blocks of bytes and the weights that the `gguf` package's
# numpy decoder gives for them. tests/kernels/codec_test.cc reads them.
# SPDX-License-Identifier: Apache-2.0
#
#   python3 tests/golden/make_codec_golden.py          (needs numpy and gguf; deterministic)
#
# File: "SCODEC1\0", then little-endian uint32 GGUF type number, number of weights, number of bytes,
# zero; the bytes; the weights as float32.
import pathlib
import struct
import warnings

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

# Offsets of the float16 fields of a block.
HALVES = {Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
          Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
          Type.Q6_K: [208], Type.IQ4_NL: [0], Type.IQ4_XS: [0], Type.MXFP4: []}
# Scales worth a block of their own: zeros, subnormals, ends of the range, infinities, NaN.
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01]
# The same of MXFP4's exponent bytes.
SPECIAL_EXPONENTS = [0, 1, 2, 3, 126, 127, 128, 253, 254, 255]
ORDINARY_BLOCKS = 12
ANY_BLOCKS = 4


def blocks_of(kind, rng):
    _, size = GGML_QUANT_SIZES[kind]
    rows = []
    for _ in range(ORDINARY_BLOCKS):  # scales as weights have them
        row = rng.integers(0, 256, size, dtype=np.uint8)
        for at in HALVES[kind]:
            half = np.float16(rng.normal() * 0.02)
            row[at:at + 2] = np.frombuffer(half.tobytes(), np.uint8)
        if kind == Type.MXFP4:
            row[0] = rng.integers(115, 128)
        rows.append(row)
    for _ in range(ANY_BLOCKS):
        rows.append(rng.integers(0, 256, size, dtype=np.uint8))
    for exponent in SPECIAL_EXPONENTS if kind == Type.MXFP4 else []:
        row = rng.integers(0, 256, size, dtype=np.uint8)
        row[0] = exponent
        rows.append(row)
    for bits in SPECIAL if HALVES[kind] else []:
        row = rng.integers(0, 256, size, dtype=np.uint8)
        for at in HALVES[kind]:
            row[at:at + 2] = np.frombuffer(struct.pack("<H", bits), np.uint8)
        rows.append(row)
    for fill in (0x00, 0x7f, 0x80):
        row = np.full(size, fill, np.uint8)
        for at in HALVES[kind]:
            row[at:at + 2] = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)
        rows.append(row)
    return np.stack(rows)


def floats_of(kind, rng):
    if kind == Type.F32:
        return rng.integers(0, 2**32, 512, dtype=np.uint32).view(np.uint8)
    some = rng.integers(0, 2**16, 1024, dtype=np.uint16)
    return np.concatenate([some, np.array(SPECIAL, np.uint16)]).view(np.uint8)


def main():
    warnings.simplefilter("ignore")  # infinity times zero is meant
    folder = pathlib.Path(__file__).resolve().parent / "codecs"
    folder.mkdir(exist_ok=True)
    for kind in (Type.F32, Type.F16, Type.BF16, *HALVES):
        rng = np.random.default_rng(1000 + int(kind))
        data = blocks_of(kind, rng) if kind in HALVES else floats_of(kind, rng)
        if kind == Type.F32:
            weights = data.view(np.float32)
        elif kind == Type.F16:
            weights = data.view(np.float16).astype(np.float32)
        else:
            weights = dequantize(data, kind).astype(np.float32)
        if kind == Type.MXFP4:
            # The format (OCP Microscaling 1.0) says NaN, where the package goes on with 2^128.
            weights[data[:, 0] == 255] = np.nan
        head = b"SCODEC1\0" + struct.pack("<4I", int(kind), weights.size, data.size, 0)
        (folder / f"{kind.name}.bin").write_bytes(head + data.tobytes() + weights.tobytes())


if __name__ == "__main__":
    main()
