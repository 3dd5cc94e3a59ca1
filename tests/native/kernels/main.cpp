// Exact checks of the kernels alone, without onnxruntime. Prints the checks that fail, and exits with 1 if any does.
#include "check.hpp"

int main() {
  test_encoder();
  test_neurons();
  test_staircases();
  test_max_pool();
  test_products();
  test_words();
  return failures == 0 ? 0 : 1;
}
