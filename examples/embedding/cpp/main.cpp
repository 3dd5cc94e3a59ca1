// host NET.snn.onnx IMAGES.npy [--steps N] [--seed N] [--library PATH]
//
// Runs a network that snnc converted, with onnxruntime and without Python, and prints for each image every output of the
// network, its spikes and its operations. What is asked of the file follows from its schedule: loop and unrolled run in
// one call, stream in blocks whose states the host carries. Of a network that settles (--method exact) with the schedule
// stream, the images are the frames of one stream.
#include <charconv>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "network.hpp"
#include "npy.h"

namespace {

struct Arguments {
  std::vector<std::string> paths;
  std::optional<std::int64_t> steps, seed;
  std::optional<std::string> library;
};

std::int64_t read_number(const std::string& option, const std::string& text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size()) {
    throw std::runtime_error(option + " " + text + ": must be an integer");
  }
  return number;
}

Arguments read_arguments(const std::vector<std::string>& words) {
  const std::runtime_error usage("usage: host NET.snn.onnx IMAGES.npy [--steps N] [--seed N] [--library PATH]");
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.rfind("--", 0) != 0) {
      arguments.paths.push_back(word);
      continue;
    }
    if (++i == words.size()) throw usage;
    if (word == "--steps") {
      arguments.steps = read_number(word, words[i]);
    } else if (word == "--seed") {
      arguments.seed = read_number(word, words[i]);
    } else if (word == "--library") {
      arguments.library = words[i];
    } else {
      throw usage;
    }
  }
  if (arguments.paths.size() != 2) throw usage;
  return arguments;
}

// The images of a file, freed with it.
class ImageFile {
 public:
  explicit ImageFile(const std::string& path) {
    Error error{};
    if (!images_read(path.c_str(), &images_, &error)) throw std::runtime_error(error.text);
  }
  ~ImageFile() { images_free(&images_); }
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  std::vector<std::int64_t> shape() const { return {images_.dims, images_.dims + images_.rank}; }

  // `count` of them from `first` on.
  Batch batch(std::int64_t first, std::int64_t count) const {
    const std::size_t each = images_.size / static_cast<std::size_t>(images_.dims[0]);
    Batch batch{images_.data + static_cast<std::size_t>(first) * each, static_cast<std::size_t>(count) * each, shape()};
    batch.shape[0] = count;
    return batch;
  }

 private:
  Images images_{};
};

void check_shape(const std::vector<std::int64_t>& wanted, const std::vector<std::int64_t>& found) {
  bool fits = wanted.size() == found.size();
  std::string text = "N";
  for (std::size_t axis = 1; axis < wanted.size(); ++axis) {
    fits = fits && (wanted[axis] < 0 || wanted[axis] == found[axis]);
    text += ", " + std::to_string(wanted[axis]);
  }
  if (!fits) throw std::runtime_error("the images have another shape than the network takes: must be [" + text + "]");
}

void print_value(const std::string& name, OrtValue* value, std::int64_t samples, std::int64_t sample) {
  const auto info = ort::make<ort::ShapeInfo>(ort::api().GetTensorTypeAndShape, value);
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t size = 0;
  ort::check(ort::api().GetTensorElementType(info.get(), &type));
  ort::check(ort::api().GetTensorShapeElementCount(info.get(), &size));
  const std::size_t each = size / static_cast<std::size_t>(samples), first = static_cast<std::size_t>(sample) * each;
  std::cout << "  " << name << ":";
  for (std::size_t i = first; i < first + each; ++i) {
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
      std::cout << ' ' << ort::data_of<float>(value)[i];
    } else if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
      std::cout << ' ' << ort::data_of<std::int64_t>(value)[i];
    } else {
      throw std::runtime_error("output " + name + " is neither float32 nor int64");
    }
  }
  std::cout << '\n';
}

void print_results(const Results& results, const char* what, std::int64_t first, std::int64_t samples) {
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    std::cout << what << ' ' << first + sample << '\n';
    for (const auto& [name, value] : results.outputs) print_value(name, value, samples, sample);
  }
}

void run(const Arguments& arguments) {
  const ImageFile images(arguments.paths[1]);
  const Network network(arguments.paths[0], arguments.library);
  check_shape(network.image_shape(), images.shape());
  const std::int64_t count = images.shape()[0];
  if (network.takes_frames()) {
    if (arguments.steps) throw std::runtime_error("frames run until the network is quiet: no --steps");
    Carried carried = network.start(1);
    for (std::int64_t frame = 0; frame < count; ++frame) {
      print_results(network.run_frame(images.batch(frame, 1), carried), "frame", frame, 1);
    }
  } else if (network.is_stream()) {
    Carried carried = network.start(count);
    const Results results = network.run_blocks(images.batch(0, count), arguments.steps, arguments.seed, carried);
    print_results(results, "sample", 0, count);
  } else {
    print_results(network.run(images.batch(0, count), arguments.steps, arguments.seed), "sample", 0, count);
  }
}

}  // namespace

int main(int count, char** words) {
  std::cout.precision(9);  // nine digits tell every float32 from the next
  try {
    run(read_arguments({words + 1, words + count}));
    return std::cout.flush() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
