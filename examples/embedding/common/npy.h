/* Images in numpy's .npy format: float32, little-endian, C order, of any shape. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { NPY_MAX_RANK = 8 };

typedef struct Images {
  size_t rank;
  int64_t dims[NPY_MAX_RANK];
  size_t size; /* elements */
  float* data; /* to be freed with images_free */
} Images;

/* False, and nothing to free, where the file cannot be read, is no such array, or has NaN or infinite values. */
bool images_read(const char* path, Images* images, Error* error);

void images_free(Images* images);

#ifdef __cplusplus
}
#endif
