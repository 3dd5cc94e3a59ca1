// Memory that a thread keeps from task to task: it grows to what the largest layer needs and is never cleared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace snnc::kernels {

constexpr std::size_t cache_line = 64;

template <class T>
class Scratch {
 public:
  // At least `size` elements, aligned to cache lines; what was there before is lost if it has to grow.
  T* reserve(std::size_t size) {
    if (size > size_) {
      const std::size_t grown = size + size / 8;
      memory_.reset();
      size_ = 0;  // memory may run out below
      memory_.reset(static_cast<T*>(::operator new(grown * sizeof(T), std::align_val_t{cache_line})));
      size_ = grown;
    }
    return memory_.get();
  }

  T* data() const { return memory_.get(); }

 private:
  struct Delete {
    void operator()(T* memory) const { ::operator delete(memory, std::align_val_t{cache_line}); }
  };
  std::unique_ptr<T, Delete> memory_;
  std::size_t size_ = 0;
};

}  // namespace snnc::kernels
