// Attention in bfloat16 on x86 processors: out = softmax(q k^T * scale) v, without ever holding all scores.
//
// Dao et al. (2022), "FlashAttention": keys come in blocks; each row keeps the greatest score so far and the sum of its
// exponentials, and what it has gathered is scaled down when a greater score appears. Both products are `multiply`:
// pairs of bfloat16 times pairs, added up in float32, by AVX512-BF16 or, with -mamx-bf16, in AMX tiles.
// Built and called by kernels.py.

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr long KEYS = 256;    // keys in a block, at most
constexpr long TILE = 64;     // keys that are packed together
constexpr long QUERIES = 96;  // queries that share a block of keys

using Pair = uint32_t;  // two bfloat16 numbers
long up(long n, long to) { return (n + to - 1) / to * to; }

#ifdef __AMX_BF16__
constexpr long ROWS = 32;   // queries that one `multiply` meets
constexpr long DEPTH = 16;  // pairs come in this many

struct alignas(64) Shapes {  // eight tiles of 16 rows of 64 bytes
  uint8_t palette = 1, row = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

struct Tiles {
  Tiles() {
    const Shapes shapes;
    _tile_loadconfig(&shapes);
  }
  ~Tiles() { _tile_release(); }
};

// c (ROWS rows of `width` numbers) [+]= a (ROWS rows of `depth` pairs) b (`depth` rows of `width` pairs)
template <bool ADD>
void multiply(const Pair* a, long lda, const Pair* b, long width, long depth, float* c, long ldc) {
  for (long j = 0; j < width; j += 32) {
    const bool two = j + 16 < width;
    float *c0 = c + j, *c1 = c + 16 * ldc + j;
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    if (ADD) {
      _tile_loadd(0, c0, 4 * ldc); _tile_loadd(1, c1, 4 * ldc);
      if (two) { _tile_loadd(2, c0 + 16, 4 * ldc); _tile_loadd(3, c1 + 16, 4 * ldc); }
    }
    for (long p = 0; p < depth; p += 16) {
      _tile_loadd(4, a + p, 4 * lda); _tile_loadd(5, a + 16 * lda + p, 4 * lda);
      _tile_loadd(6, b + p * width + j, 4 * width);
      _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 5, 6);
      if (two) {
        _tile_loadd(7, b + p * width + j + 16, 4 * width);
        _tile_dpbf16ps(2, 4, 7); _tile_dpbf16ps(3, 5, 7);
      }
    }
    _tile_stored(0, c0, 4 * ldc); _tile_stored(1, c1, 4 * ldc);
    if (two) { _tile_stored(2, c0 + 16, 4 * ldc); _tile_stored(3, c1 + 16, 4 * ldc); }
  }
}
#else
constexpr long ROWS = 6;  // times four registers, which hold the sums
constexpr long DEPTH = 1;

struct Tiles {};

template <int C, bool ADD>
void columns(const Pair* a, long lda, const Pair* b, long ldb, long depth, float* c, long ldc) {
  __m512 sum[ROWS][C];
  for (int r = 0; r < ROWS; r++)
    for (int j = 0; j < C; j++) sum[r][j] = ADD ? _mm512_loadu_ps(c + r * ldc + 16 * j) : _mm512_setzero_ps();
  for (long p = 0; p < depth; p++) {
    __m512bh y[C];
    for (int j = 0; j < C; j++) y[j] = (__m512bh)_mm512_loadu_si512(b + p * ldb + 16 * j);
    for (int r = 0; r < ROWS; r++) {
      const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[r * lda + p]);
      for (int j = 0; j < C; j++) sum[r][j] = _mm512_dpbf16_ps(sum[r][j], x, y[j]);
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int j = 0; j < C; j++) _mm512_storeu_ps(c + r * ldc + 16 * j, sum[r][j]);
}

template <bool ADD>
void multiply(const Pair* a, long lda, const Pair* b, long width, long depth, float* c, long ldc) {
  long j = 0;
  for (; width - j >= 64; j += 64) columns<4, ADD>(a, lda, b + j, width, depth, c + j, ldc);
  if (width - j == 48) columns<3, ADD>(a, lda, b + j, width, depth, c + j, ldc);
  if (width - j == 32) columns<2, ADD>(a, lda, b + j, width, depth, c + j, ldc);
  if (width - j == 16) columns<1, ADD>(a, lda, b + j, width, depth, c + j, ldc);
}
#endif

// 2^x to four digits, which bfloat16 does not have; x <= 0
__m512 exp2(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-126.f), x);  // in this order it keeps NaN
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  const __m512 part = _mm512_sub_ps(x, whole);
  __m512 y = _mm512_set1_ps(0.0135355f);
  for (const float factor : {0.0520310f, 0.2414440f, 0.6929883f, 1.0000026f})
    y = _mm512_fmadd_ps(y, part, _mm512_set1_ps(factor));
  return _mm512_scalef_ps(y, whole);
}

struct Row {
  float greatest = -1e30f, sum = 0;

  // Makes weights of `keys` scores, and scales what was gathered before to the new greatest score.
  void weigh(const float* scores, long keys, float scale, Pair* weights, float* gathered, long width) {
    __m512 m = _mm512_loadu_ps(scores);
    for (long j = 16; j < keys; j += 16) m = _mm512_max_ps(m, _mm512_loadu_ps(scores + j));
    const float most = _mm512_reduce_max_ps(m) * scale;
    if (most > greatest) {
      const __m512 less = exp2(_mm512_set1_ps(greatest - most));
      sum *= _mm512_cvtss_f32(less);
      for (long j = 0; j < width; j += 16)
        _mm512_storeu_ps(gathered + j, _mm512_mul_ps(_mm512_loadu_ps(gathered + j), less));
      greatest = most;
    }
    const __m512 by = _mm512_set1_ps(scale), from = _mm512_set1_ps(-greatest);
    __m512 total = _mm512_setzero_ps();
    for (long j = 0; j < keys; j += 32) {
      const __m512 low = exp2(_mm512_fmadd_ps(_mm512_loadu_ps(scores + j), by, from));
      const __m512 high = exp2(_mm512_fmadd_ps(_mm512_loadu_ps(scores + j + 16), by, from));
      total = _mm512_add_ps(total, _mm512_add_ps(low, high));
      _mm512_storeu_si512(weights + j / 2, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    sum += _mm512_reduce_add_ps(total);
  }
};

uint16_t rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return 0x7fc0;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

struct Shape {
  long n, m, d;
  long keys() const { return up(m, TILE); }
  long depth() const { return up(d / 2, DEPTH); }
  long width() const { return up(d, 16); }
};

// Keys (m d) of one head to [tile][pair of numbers][key], and values to [pair of keys][number]; zeros fill up.
void pack(const Shape& s, const uint16_t* k, long key_step, const uint16_t* v, long value_step, Pair* pk, Pair* pv) {
  for (long key = 0; key < s.keys(); key++)
    for (long p = 0; p < s.depth(); p++) {
      Pair pair = 0;
      if (key < s.m && 2 * p < s.d) std::memcpy(&pair, k + key * key_step + 2 * p, 4);
      pk[(key / TILE * s.depth() + p) * TILE + key % TILE] = pair;
    }
  for (long key = 0; key < s.keys(); key += 2)
    for (long i = 0; i < s.width(); i++) {
      const Pair one = key < s.m && i < s.d ? v[key * value_step + i] : 0;
      const Pair two = key + 1 < s.m && i < s.d ? v[(key + 1) * value_step + i] : 0;
      pv[key / 2 * s.width() + i] = one | two << 16;
    }
}

// What `count` queries of one head gather.
void gather(const Shape& s, const uint16_t* q, long step, long count, const Pair* pk, const Pair* pv, float scale,
            uint16_t* out, long out_step) {
  const long depth = s.depth(), width = s.width();
  std::vector<Pair> queries(QUERIES * depth), weights(ROWS * KEYS / 2);
  std::vector<float> scores(ROWS * KEYS), gathered(QUERIES * width);
  std::vector<Row> rows(QUERIES);
  for (long r = 0; r < count; r++) std::memcpy(&queries[r * depth], q + r * step, 2 * s.d);
  for (long key = 0; key < s.keys(); key += KEYS) {
    const long keys = std::min(KEYS, s.keys() - key);
    for (long r = 0; r < count; r += ROWS) {
      for (long tile = 0; tile < keys; tile += TILE)
        multiply<false>(&queries[r * depth], depth, pk + (key + tile) * depth, TILE, depth, &scores[tile], KEYS);
      for (long i = 0; i < ROWS; i++) {
        float* these = &scores[i * KEYS];
        for (long j = s.m - key; j < keys; j++) these[j] = -1e30f;  // beyond the last key
        rows[r + i].weigh(these, keys, scale, &weights[i * KEYS / 2], &gathered[(r + i) * width], width);
      }
      multiply<true>(weights.data(), KEYS / 2, pv + key / 2 * width, width, keys / 2, &gathered[r * width], width);
    }
  }
  for (long r = 0; r < count; r++)
    for (long i = 0; i < s.d; i++) out[r * out_step + i] = rounded(gathered[r * width + i] / rows[r].sum);
}

}  // namespace

// Pairs of `room` that `attention` needs.
extern "C" long attention_room(long batch, long heads, long m, long d) {
  const Shape s{0, m, d};
  return batch * heads * s.keys() * s.depth() + batch * heads * s.keys() / 2 * s.width();
}

// q (b h n d), k and v (b h m d), out (b h n d): bfloat16, d even and dense; `strides` of each: of b, h and n.
extern "C" void attention(const uint16_t* q, const uint16_t* k, const uint16_t* v, uint16_t* out, Pair* room, long batch,
                          long heads, long n, long m, long d, const long* strides, float scale, int threads) {
  const Shape s{n, m, d};
  const long all = batch * heads, groups = up(n, QUERIES) / QUERIES;
  const long of_keys = s.keys() * s.depth(), of_values = s.keys() / 2 * s.width();
  Pair* values = room + all * of_keys;
  const auto at = [&](long head, int which) {
    return head / heads * strides[3 * which] + head % heads * strides[3 * which + 1];
  };
#pragma omp parallel num_threads(threads)
  {
    [[maybe_unused]] const Tiles tiles{};
#pragma omp for schedule(static)
    for (long i = 0; i < all; i++)
      pack(s, k + at(i, 1), strides[5], v + at(i, 2), strides[8], room + i * of_keys, values + i * of_values);
#pragma omp for schedule(dynamic, 1)
    for (long i = 0; i < all * groups; i++) {
      const long head = i / groups, first = i % groups * QUERIES;
      gather(s, q + at(head, 0) + first * strides[2], strides[2], std::min(QUERIES, n - first), room + head * of_keys,
             values + head * of_values, scale * 1.44269504f, out + at(head, 3) + first * strides[11], strides[11]);
    }
  }
}
