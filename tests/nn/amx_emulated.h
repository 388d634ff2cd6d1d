// AMX tiles in plain C++, so that the tile path of attention.cpp is tested where no processor has them: c++ -include.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace amx_emulated {

struct Tile {
  uint8_t rows[16][64];
};
inline thread_local Tile tiles[8];

inline float number(uint16_t half) {
  const uint32_t bits = uint32_t(half) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline void load(int t, const void* from, long stride) {
  for (int r = 0; r < 16; r++) std::memcpy(tiles[t].rows[r], (const char*)from + r * stride, 64);
}
inline void store(int t, void* to, long stride) {
  for (int r = 0; r < 16; r++) std::memcpy((char*)to + r * stride, tiles[t].rows[r], 64);
}
inline void zero(int t) { std::memset(&tiles[t], 0, sizeof(Tile)); }

inline void product(int c, int a, int b) {  // of pairs, as Intel's manual has it for TDPBF16PS
  for (int m = 0; m < 16; m++)
    for (int k = 0; k < 16; k++)
      for (int n = 0; n < 16; n++) {
        float sum;
        uint16_t x[2], y[2];
        std::memcpy(&sum, tiles[c].rows[m] + 4 * n, 4);
        std::memcpy(x, tiles[a].rows[m] + 4 * k, 4);
        std::memcpy(y, tiles[b].rows[k] + 4 * n, 4);
        sum += number(x[0]) * number(y[0]);
        sum += number(x[1]) * number(y[1]);
        std::memcpy(tiles[c].rows[m] + 4 * n, &sum, 4);
      }
}

}  // namespace amx_emulated

#define __AMX_BF16__ 1
#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#define _tile_loadconfig(shapes) (void)(shapes)
#define _tile_release() (void)0
#define _tile_loadd(t, from, stride) amx_emulated::load(t, from, stride)
#define _tile_stored(t, to, stride) amx_emulated::store(t, to, stride)
#define _tile_zero(t) amx_emulated::zero(t)
#define _tile_dpbf16ps(c, a, b) amx_emulated::product(c, a, b)
