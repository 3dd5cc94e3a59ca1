// Input-stationary: the sums of what the events of some steps add to a line's neurons stay in the cache.
#pragma once

#include "transpose.hpp"

namespace snnc::kernels::SNNC_SIMD {

inline void exchange_fields(Simd::Wide (&channels)[4]) { exchange_numbers(channels); }
inline void exchange_fields(Simd::Wide (&channels)[8]) { exchange_bytes(channels); }

inline Simd::Wide load_wide(const u64* from, std::int64_t left) {
  constexpr int lanes = sizeof(Simd::Wide) / sizeof(u64);
  if (left >= lanes) return *reinterpret_cast<const Simd::Wide*>(from);
  u64 padded[lanes] = {};
  for (int i = 0; i < left; ++i) padded[i] = from[i];
  return *reinterpret_cast<const Simd::Wide*>(padded);
}

// The steps of a slot's channels, `field` steps at a time: bit `field * channel + step` of a piece is a spike. Pieces are
// `apart` columns of pieces apart.
template <int field>
inline void make_pieces(const ListChunks& line, const ChunkSlot& slot, u64* pieces, std::int64_t apart) {
  using Wide = Simd::Wide;
  constexpr int lanes = sizeof(Wide) / sizeof(u64), fields = word_steps / field;
  const u64 simulated = Simd::low_bits(static_cast<u64>(line.steps));
  const u64* const words = line.words + slot.first * line.plane;
  for (std::int64_t column = 0; column < line.columns; column += lanes) {
    Wide rows[fields];
#pragma GCC unroll 8
    for (int channel = 0; channel < fields; ++channel) {
      if (channel >= slot.channels) {
        rows[channel] = Wide{};
      } else {
        rows[channel] = load_wide(words + channel * line.plane + column, line.columns - column) & simulated;
      }
    }
    auto* to = pieces + column;
    if (line.steps <= field) {
#pragma GCC unroll 8
      for (int channel = 1; channel < fields; ++channel) rows[0] |= rows[channel] << field * channel;
    } else {
      exchange_fields(rows);
    }
#pragma GCC unroll 8
    for (int piece = 0; piece < fields; ++piece, to += apart) {
      if (piece * field < line.steps) *reinterpret_cast<Wide*>(to) = rows[piece];
    }
  }
}

template <int field>
inline void list_fields(const ListChunks& line) {
  const std::int64_t columns = (line.columns + columns_at_once - 1) / columns_at_once * columns_at_once;
  const std::int64_t apart = line.slot_count * columns;
  for (int slot = 0; slot < line.slot_count; ++slot) {
    make_pieces<field>(line, line.slots[slot], line.scratch + slot * columns, apart);
  }
  const u32* const bit_events = line.bit_events;
  const ChunkColumn* const reaching = line.reaching;
  const std::int64_t reaching_count = line.reaching_count;
  u32* end = line.events;
  u32* starts = line.starts;
  const u64 of_chunk = ~u64{0} / Simd::low_bits(field) * Simd::low_bits(static_cast<u64>(line.chunk));
  for (int first = 0; first < line.steps; first += line.chunk) {
    *starts++ = static_cast<u32>(end - line.events);
    const u64* pieces = line.scratch + first / field * apart;
    for (int slot = 0; slot < line.slot_count; ++slot, pieces += columns) {
      const u32 event = line.slots[slot].event;
      for (std::int64_t i = 0; i < reaching_count; ++i) {
        const u64 piece = pieces[reaching[i].column] >> first % field & of_chunk;
        end += Simd::list_fields<field>(piece, event + reaching[i].event, bit_events, end);
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
