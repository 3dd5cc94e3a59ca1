// Input-stationary: the sums of what the events of some steps add to a line's neurons stay in the cache.
#pragma once

#include "transpose.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Bit `field * channel + step` of a column's piece is a spike in step `first_step + step`.
template <class Word, int field, int channels>
inline Word make_piece(const u64* words, std::int64_t plane, int first_step, u64 steps) {
  Word piece = {};
#pragma GCC unroll 8
  for (int channel = 0; channel < channels; ++channel) {
    Word of_channel;  // copied: as arguments of templates, vectors are aligned
    __builtin_memcpy(&of_channel, words + channel * plane, sizeof of_channel);
    piece |= (of_channel >> first_step & steps) << (field * channel);
  }
  return piece;
}

template <int field, int channels>
inline void make_pieces(const ListChunks& line, const u64* words, int first_step, u64 steps) {
  const std::int64_t columns = line.columns, plane = line.plane;
  u64* const pieces = line.scratch;
  std::int64_t column = 0;
  for (; column + columns_at_once <= columns; column += columns_at_once) {
    const auto eight = make_piece<Columns, field, channels>(words + column, plane, first_step, steps);
    *reinterpret_cast<Columns*>(pieces + column) = eight;
  }
  for (; column < columns; ++column) {
    pieces[column] = make_piece<u64, field, channels>(words + column, plane, first_step, steps);
  }
}

// Channels that do not fill a word are added one by one.
template <int field>
inline void make_pieces(const ListChunks& line, const ChunkSlot& slot, int first_step, u64 steps) {
  const u64* const words = line.words + slot.first * line.plane;
  if (slot.channels == word_steps / field) {
    return make_pieces<field, word_steps / field>(line, words, first_step, steps);
  }
  for (std::int64_t column = 0; column < line.columns; ++column) {
    u64 piece = 0;
    for (int channel = 0; channel < slot.channels; ++channel) {
      piece |= (words[channel * line.plane + column] >> first_step & steps) << (field * channel);
    }
    line.scratch[column] = piece;
  }
}

// Three events are written without asking whether they are there: most pieces hold no more.
inline u32* list_piece(u64 piece, u32 event, const u32* bit_events, u32* to) {
  const auto count = static_cast<u32>(__builtin_popcountll(piece));
#pragma GCC unroll 3
  for (u32 i = 0; i < 3; ++i, piece &= piece - 1) to[i] = event + bit_events[Simd::first_bit(piece)];
  for (u32 i = 3; i < count; ++i, piece &= piece - 1) to[i] = event + bit_events[Simd::first_bit(piece)];
  return to + count;
}

template <int field>
inline void list_fields(const ListChunks& line) {
  const u32* const bit_events = line.bit_events;
  const ChunkColumn* const reaching = line.reaching;
  const std::int64_t reaching_count = line.reaching_count;
  u32* end = line.events;
  u32* starts = line.starts;
  for (int first = 0; first < line.steps; first += line.chunk) {
    const int steps = line.steps - first < line.chunk ? line.steps - first : line.chunk;
    *starts++ = static_cast<u32>(end - line.events);
    for (int slot = 0; slot < line.slot_count; ++slot) {
      make_pieces<field>(line, line.slots[slot], first, (u64{1} << steps) - 1);
      const u32 event = line.slots[slot].event;
      const u64* const pieces = line.scratch;
      for (std::int64_t i = 0; i < reaching_count; ++i) {
        end = list_piece(pieces[reaching[i].column], event + reaching[i].event, bit_events, end);
      }
    }
  }
  *starts = static_cast<u32>(end - line.events);
}

inline void list_chunks(const ListChunks& line) {
  if (line.field == 8) {
    list_fields<8>(line);
  } else {
    list_fields<16>(line);
  }
}

template <class Weight>
inline void add_unit(std::int16_t* sums, const Weight* row) {
  typename Simd::template Narrow<chunk_unit> sum;
  sum.load(sums);
  sum.add(row);
  sum.store(sums);
}

template <class Weight>
inline void add_unit(std::int32_t* sums, const Weight* row) {
#pragma GCC unroll 4
  for (int i = 0; i < chunk_unit; i += Simd::lanes) {
    Simd::store(sums + i, Simd::add(Simd::load(sums + i), Simd::load_row(row + i)));
  }
}

// `units`: of a run; 0 if it has another length.
template <class Weight, class Sum, int units>
inline void add_runs(const ChunkEvents& events) {
  const auto* const rows = static_cast<const Weight*>(events.rows);
  auto* const sums = static_cast<Sum*>(events.sums);
  const std::int64_t run_units = units > 0 ? units : events.run / chunk_unit;
  for (const u32* event = events.first; event < events.last; ++event) {
    Sum* const to = sums + (*event & 0xffff) * chunk_unit;
    const Weight* const row = rows + (*event >> 16) * chunk_unit;
#pragma GCC unroll 12
    for (std::int64_t unit = 0; unit < run_units; ++unit) {
      add_unit(to + unit * chunk_unit, row + unit * chunk_unit);
    }
  }
}

template <class Weight, class Sum>
void add_events(const ChunkEvents& events) {
  switch (events.run / chunk_unit) {
    case 1: return add_runs<Weight, Sum, 1>(events);
    case 2: return add_runs<Weight, Sum, 2>(events);
    case 3: return add_runs<Weight, Sum, 3>(events);
    case 4: return add_runs<Weight, Sum, 4>(events);
    case 6: return add_runs<Weight, Sum, 6>(events);
    case 12: return add_runs<Weight, Sum, 12>(events);
    default: return add_runs<Weight, Sum, 0>(events);
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
