// Codecs: decoding against golden blocks, half floats against their definition, encoders by error.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>

#include "kernels/quant/f8.h"
#include "kernels/quant/half.h"
#include "kernels/quant/i4.h"
#include "kernels/quant/mxfp4.h"
#include "kernels/quant/types.h"
#include "tests/kernels/kernel_test_util.h"

namespace scout::kernels {
namespace {

// Types without a GGUF number: their codecs are checked against their definition.
bool is_own(QuantType type) {
  return type == QuantType::kI4_32 || type == QuantType::kI4_128 || type == QuantType::kF8_E4M3;
}

uint32_t u32_at(const std::string& s, size_t at) {
  uint32_t v = 0;
  for (int i = 3; i >= 0; --i) v = (v << 8) | static_cast<unsigned char>(s[at + i]);
  return v;
}

TEST(Codec, DecodesGoldenBlocksBitForBit) {
  for (QuantType type : all_types()) {
    if (is_own(type)) continue;
    const QuantTraits& traits = quant_traits(type);
    SCOPED_TRACE(traits.name);
    const std::string path =
        std::string(SCOUT_SOURCE_DIR) + "/tests/golden/codecs/" + traits.name + ".bin";
    std::ifstream file(path, std::ios::binary);
    ASSERT_TRUE(file.good()) << path;
    const std::string all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    ASSERT_GT(all.size(), 24u);
    ASSERT_EQ(all.compare(0, 8, "SCODEC1\0", 8), 0);
    QuantType found;
    ASSERT_TRUE(quant_type_from_gguf(u32_at(all, 8), &found));
    EXPECT_EQ(found, type);
    const size_t n = u32_at(all, 12);
    const size_t bytes = u32_at(all, 16);
    ASSERT_EQ(all.size(), 24 + bytes + 4 * n);
    ASSERT_EQ(bytes, n / traits.block_elems * traits.block_bytes);

    const Input<char> src(all.data() + 24, bytes);
    const Input<float> want(reinterpret_cast<const float*>(all.data() + 24 + bytes), n);
    Output<float> got(n);
    traits.decode(src.data(), got.data(), static_cast<int64_t>(n));
    EXPECT_TRUE(got.margins_untouched());
    size_t numbers = 0;
    for (size_t i = 0; i < n; ++i) {
      if (std::isnan(want[i])) {
        ASSERT_TRUE(std::isnan(got[i])) << i;
      } else {
        ASSERT_EQ(bits_of(got[i]), bits_of(want[i])) << i << ": " << got[i] << " " << want[i];
        ++numbers;
      }
    }
    EXPECT_GT(numbers, n / 2);
  }
}

TEST(Codec, DecodesFromAnyAddress) {
  for (QuantType type : all_types()) {
    const QuantTraits& traits = quant_traits(type);
    const int64_t n = traits.block_elems * 4;
    const size_t bytes = static_cast<size_t>(traits.block_bytes * 4);
    const Input<float> x = normal_input(n, 5);
    std::vector<unsigned char> even(bytes), odd(bytes + 1);
    traits.encode(x.data(), even.data(), n);
    traits.encode(x.data(), odd.data() + 1, n);
    EXPECT_EQ(memcmp(even.data(), odd.data() + 1, bytes), 0) << traits.name;
    std::vector<float> a(n), b(n);
    traits.decode(even.data(), a.data(), n);
    traits.decode(odd.data() + 1, b.data(), n);
    EXPECT_EQ(a, b) << traits.name;
  }
}

// The value of a finite float16 from its definition.
double half_value(uint16_t h) {
  const int exponent = (h >> 10) & 31;
  const double fraction = h & 1023;
  const double v =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25);
  return (h & 0x8000) ? -v : v;
}

TEST(Half, EveryFloat16IsExactAndComesBack) {
  for (uint32_t u = 0; u < 65536; ++u) {
    const uint16_t h = static_cast<uint16_t>(u);
    const float v = f16_to_f32(h);
    if ((h & 0x7fff) > 0x7c00) {
      ASSERT_TRUE(std::isnan(v)) << h;
      ASSERT_EQ(std::signbit(v), (h & 0x8000) != 0);
      ASSERT_EQ(f32_to_f16(v), h | 0x200) << h;
      continue;
    }
    if ((h & 0x7fff) == 0x7c00) {
      ASSERT_TRUE(std::isinf(v));
    } else {
      ASSERT_EQ(static_cast<double>(v), half_value(h)) << h;
    }
    ASSERT_EQ(std::signbit(v), (h & 0x8000) != 0);
    ASSERT_EQ(f32_to_f16(v), h);
  }
}

// Walks over every border between two neighbours: the midpoint goes to the even one, its float
// neighbours to the nearer one. That decides every float32.
TEST(Half, Float32ToFloat16RoundsToNearestEven) {
  for (uint32_t h = 0; h < 0x7c00; ++h) {
    const double low = half_value(static_cast<uint16_t>(h));
    const double high = h + 1 == 0x7c00 ? 65536.0 : half_value(static_cast<uint16_t>(h + 1));
    const float middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(static_cast<double>(middle), (low + high) / 2);
    const uint16_t even = static_cast<uint16_t>(h + (h & 1));
    ASSERT_EQ(f32_to_f16(middle), even) << h;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e30f)), h + 1) << h;
  }
  EXPECT_EQ(f32_to_f16(1e-45f), 0);
  EXPECT_EQ(f32_to_f16(-1e-45f), 0x8000);
  EXPECT_EQ(f32_to_f16(3e38f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-INFINITY), 0xfc00);
}

TEST(Half, Float32ToBfloat16RoundsToNearestEven) {
  for (uint32_t h = 0; h < 0x7f80; ++h) {
    const float low = bf16_to_f32(static_cast<uint16_t>(h));
    ASSERT_EQ(bits_of(low), h << 16);
    ASSERT_EQ(f32_to_bf16(low), h);
    const uint32_t middle = (h << 16) | 0x8000;
    ASSERT_EQ(f32_to_bf16(f32_from_bits(middle)), h + (h & 1)) << h;
    ASSERT_EQ(f32_to_bf16(f32_from_bits(middle - 1)), h) << h;
    ASSERT_EQ(f32_to_bf16(f32_from_bits(middle + 1)), h + 1) << h;
    ASSERT_EQ(f32_to_bf16(f32_from_bits(0x80000000u | (middle + 1))), (h + 1) | 0x8000) << h;
  }
  for (uint32_t nan : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    const uint16_t h = f32_to_bf16(f32_from_bits(nan));
    EXPECT_TRUE(std::isnan(bf16_to_f32(h)));
    EXPECT_EQ(h & 0x8000, (nan >> 16) & 0x8000);
  }
  EXPECT_EQ(f32_to_bf16(INFINITY), 0x7f80);
}

// The value of a finite float8 E4M3 from its definition.
double f8_value(int v) {
  const int exponent = (v >> 3) & 15, fraction = v & 7;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8.0 + fraction, exponent - 10);
  return (v & 0x80) != 0 ? -magnitude : magnitude;
}

TEST(Float8, EveryValueIsExactAndComesBack) {
  for (int v = 0; v < 256; ++v) {
    const float f = f8_e4m3_to_f32(static_cast<uint8_t>(v));
    EXPECT_EQ(std::signbit(f), v >= 128) << v;
    EXPECT_EQ(f32_to_f8_e4m3(f), v);
    if ((v & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(f)) << v;
    } else {
      EXPECT_EQ(static_cast<double>(f), f8_value(v)) << v;
    }
  }
  EXPECT_EQ(f8_e4m3_to_f32(0x7e), kF8E4M3Max);
}

TEST(Float8, RoundsToNearestEvenAndSaturates) {
  for (int v = 0; v < 0x7e; ++v) {
    const float middle = static_cast<float>((f8_value(v) + f8_value(v + 1)) / 2);
    const int even = v + (v & 1);
    ASSERT_EQ(f32_to_f8_e4m3(middle), even) << v;
    ASSERT_EQ(f32_to_f8_e4m3(-middle), even | 0x80) << v;
    ASSERT_EQ(f32_to_f8_e4m3(std::nextafter(middle, 0.0f)), v) << v;
    ASSERT_EQ(f32_to_f8_e4m3(std::nextafter(middle, 1e30f)), v + 1) << v;
  }
  EXPECT_EQ(f32_to_f8_e4m3(1e-45f), 0);
  EXPECT_EQ(f32_to_f8_e4m3(-1e-45f), 0x80);
  for (float large : {449.0f, 480.0f, 1e9f, INFINITY}) {
    EXPECT_EQ(f32_to_f8_e4m3(large), 0x7e);
    EXPECT_EQ(f32_to_f8_e4m3(-large), 0xfe);
  }
}

template <int64_t kElems>
void check_grouped_integers() {
  Random random(79);
  for (int zero = 0; zero < 16; ++zero) {
    for (bool bf16 : {false, true}) {
      uint8_t nibbles[kElems / 2];
      for (uint8_t& byte : nibbles) byte = static_cast<uint8_t>(random.bits());
      const float scale = 0.40625f;  // exact in both
      BlockI4<kElems> block;
      pack_i4(bf16 ? f32_to_bf16(scale) : f32_to_f16(scale), bf16, static_cast<uint8_t>(zero),
              nibbles, &block);
      float w[kElems];
      decode_i4(block, w);
      for (int64_t i = 0; i < kElems; ++i) {
        // Eight integers in a 32-bit word, lowest first, as W4A16 checkpoints have them.
        const uint32_t word = u32_at(std::string(nibbles, nibbles + sizeof(nibbles)), i / 8 * 4);
        const int q = static_cast<int>((word >> (4 * (i % 8))) & 15);
        ASSERT_EQ(w[i], scale * static_cast<float>(q - zero)) << i;
      }
    }
  }
}

TEST(GroupedIntegers, DecodeByDefinition) {
  check_grouped_integers<32>();
  check_grouped_integers<128>();
}

TEST(Mxfp4, ScaleOfEveryExponent) {
  for (int e = 0; e < 255; ++e) {
    EXPECT_EQ(static_cast<double>(e8m0_half(static_cast<uint8_t>(e))), std::ldexp(1.0, e - 128));
  }
  EXPECT_TRUE(std::isnan(e8m0_half(255)));
}

double rms_error(QuantType type, const Input<float>& x) {
  const QuantTraits& traits = quant_traits(type);
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<unsigned char> bytes(n / traits.block_elems * traits.block_bytes);
  std::vector<float> y(n);
  traits.encode(x.data(), bytes.data(), n);
  traits.decode(bytes.data(), y.data(), n);
  double errors = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    errors += (static_cast<double>(y[i]) - x[i]) * (static_cast<double>(y[i]) - x[i]);
    squares += static_cast<double>(x[i]) * x[i];
  }
  return std::sqrt(errors / squares);
}

// Relative error of normally distributed weights, and of weights that lie far from zero. The bounds
// are a few per cent above what the encoders reach; for the K formats they are below what a grid
// that spans the range gives.
TEST(Encoder, ErrorIsSmall) {
  constexpr struct {
    QuantType type;
    double normal, shifted;
  } kBounds[] = {
      {QuantType::kQ8_0, 5.5e-3, 4.1e-3},  {QuantType::kQ4_0, 0.088, 0.066},
      {QuantType::kQ4_1, 0.0795, 0.024},   {QuantType::kQ5_0, 0.0435, 0.0325},
      {QuantType::kQ5_1, 0.0387, 0.0115},  {QuantType::kQ2_K, 0.277, 0.139},
      {QuantType::kQ3_K, 0.149, 0.1065},   {QuantType::kQ4_K, 0.0725, 0.0315},
      {QuantType::kQ5_K, 0.0366, 0.0156},  {QuantType::kQ6_K, 0.0178, 0.0133},
      {QuantType::kIQ4_NL, 0.076, 0.0645}, {QuantType::kIQ4_XS, 0.077, 0.0652},
      {QuantType::kMXFP4, 0.114, 0.109},   {QuantType::kI4_32, 0.0822, 0.0345},
      {QuantType::kI4_128, 0.103, 0.04},
  };
  const Input<float> normal = normal_input(256 * 64, 77);
  EXPECT_EQ(rms_error(QuantType::kF32, normal), 0.0);
  EXPECT_LT(rms_error(QuantType::kF16, normal), 2.2e-4);
  EXPECT_LT(rms_error(QuantType::kBF16, normal), 1.75e-3);
  EXPECT_LT(rms_error(QuantType::kF8_E4M3, normal), 0.028);
  Input<float> shifted(normal.data(), normal.size());
  for (size_t i = 0; i < shifted.size(); ++i) shifted[i] = std::fabs(shifted[i]) + 1;
  EXPECT_EQ(std::size(kBounds), block_types().size());
  for (const auto& bound : kBounds) {
    EXPECT_LT(rms_error(bound.type, normal), bound.normal) << quant_traits(bound.type).name;
    EXPECT_LT(rms_error(bound.type, shifted), bound.shifted) << quant_traits(bound.type).name;
  }
}

TEST(Encoder, EachQ8_0ValueIsTheNearest) {
  const QuantTraits& traits = quant_traits(QuantType::kQ8_0);
  const Input<float> x = normal_input(32 * 50, 78);
  for (int block = 0; block < 50; ++block) {
    unsigned char bytes[34];
    float y[32];
    traits.encode(x.data() + 32 * block, bytes, 32);
    traits.decode(bytes, y, 32);
    const double step = f16_to_f32(static_cast<uint16_t>(bytes[0] | (bytes[1] << 8)));
    for (int i = 0; i < 32; ++i) {
      // The value at the end of the range may be clipped by the rounding of the scale: 127 * 2^-11.
      const double slack = std::abs(static_cast<int8_t>(bytes[2 + i])) == 127 ? 0.0625 : 1e-6;
      EXPECT_LE(std::fabs(y[i] - x[32 * block + i]), step * (0.5 + slack));
    }
  }
}

TEST(Encoder, SurvivesAnyInput) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float tops[] = {0.0f, -0.0f, 1e-45f, 1e-30f, 1e30f, 3.4e38f, inf, -inf, nan};
  for (QuantType type : block_types()) {
    const QuantTraits& traits = quant_traits(type);
    for (float top : tops) {
      for (int all = 0; all < 2; ++all) {
        Input<float> x = normal_input(256, 3);
        for (int i = 0; i < 256; ++i) {
          if (all || i % 50 == 0) x[i] = top;
        }
        std::vector<unsigned char> bytes(256 / traits.block_elems * traits.block_bytes);
        std::vector<float> y(256);
        traits.encode(x.data(), bytes.data(), 256);
        traits.decode(bytes.data(), y.data(), 256);
        for (int i = 0; i < 256; ++i) ASSERT_TRUE(std::isfinite(y[i])) << traits.name << top;
        if (all && top == 0.0f) {
          for (int i = 0; i < 256; ++i) ASSERT_EQ(y[i], 0.0f) << traits.name;
        }
      }
    }
  }
}

TEST(Types, TableAndGgufNames) {
  int known = 0;
  for (uint32_t number = 0; number < 100; ++number) {
    QuantType found = QuantType::kCount;
    if (!quant_type_from_gguf(number, &found)) continue;
    ++known;
    EXPECT_STREQ(gguf_type_name(number), quant_traits(found).name);
  }
  EXPECT_EQ(known, 16);
  QuantType type = QuantType::kCount;
  EXPECT_FALSE(quant_type_from_gguf(16, &type));
  EXPECT_STREQ(gguf_type_name(16), "IQ2_XXS");
  EXPECT_STREQ(gguf_type_name(13), "Q5_K");
  EXPECT_STREQ(gguf_type_name(20), "IQ4_NL");
  EXPECT_STREQ(gguf_type_name(39), "MXFP4");
  EXPECT_EQ(gguf_type_name(42), nullptr);
  EXPECT_EQ(gguf_type_name(0xffffffffu), nullptr);
  for (QuantType each : all_types()) {
    const QuantTraits& traits = quant_traits(each);
    EXPECT_EQ(traits.is_float, traits.block_elems == 1);
    EXPECT_TRUE(traits.is_float || traits.block_elems % kActSum == 0);
  }
}

}  // namespace
}  // namespace scout::kernels
