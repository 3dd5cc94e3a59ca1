// A converted network in onnxruntime, and the three ways to run it: whole, in blocks, and frame by frame.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ort.hpp"
#include "states.h"

// Images `[N, ...]` in memory of the caller.
struct Batch {
  float* data;
  std::size_t size;
  std::vector<std::int64_t> shape;
};

// Outputs by name, in the order of the file. They are valid until the next run with the same `Carried`.
struct Results {
  std::vector<std::pair<std::string, OrtValue*>> outputs;
  std::vector<ort::Value> owned;
};

// The states of a batch, twice: a block reads one and writes the other, so nothing is copied or allocated.
struct Carried {
  std::vector<ort::Value> now, next;
};

class Network {
 public:
  // `library` is the path of snnc's operators; without it the functions in the file are run.
  Network(const std::string& path, const std::optional<std::string>& library);

  const std::vector<std::int64_t>& image_shape() const { return shape_; }  // with the batch; what is free is -1
  bool is_stream() const { return has(inputs_, "first_step"); }
  bool takes_frames() const { return is_stream() && states_->settles; }

  // Files of the schedules loop and unrolled: one call runs all steps.
  Results run(const Batch& images, std::optional<std::int64_t> steps, std::optional<std::int64_t> seed) const;

  // States before the first step.
  Carried start(std::int64_t samples) const;

  // Files of the schedule stream: so many steps, in blocks of at most 64.
  Results run_blocks(
      const Batch& images, std::optional<std::int64_t> steps, std::optional<std::int64_t> seed, Carried& carried) const;

  // The next frame of streams, of a network that settles: from the states of the frame before, until it is quiet.
  Results run_frame(const Batch& frames, Carried& carried) const;

 private:
  struct Feeds;
  using Names = std::vector<std::string>;
  using CarriedStates = std::unique_ptr<States, void (*)(States*)>;

  static bool has(const Names& names, const std::string& name);
  void read_metadata(const std::string& path);
  void check_steps(std::optional<std::int64_t> steps) const;
  ort::Value make_state(const State& state, std::int64_t samples) const;
  Results call(Feeds& feeds, const std::vector<OrtValue*>& given) const;
  Results run_block(
      const Batch& images, std::int64_t seed, std::int64_t first_step, std::int64_t count, Carried& carried) const;

  ort::Env env_;
  ort::Session session_;
  Names inputs_, optional_, outputs_;
  std::vector<std::int64_t> shape_;
  CarriedStates states_;
};
