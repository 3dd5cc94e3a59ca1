#include "npy.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_HEADER = 65536 };

/* The header is the text of a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (5, 1, 8, 8), } */
static bool read_shape(const char* header, Images* images) {
  const char* at = strstr(header, "'shape': (");
  if (at == NULL) return false;
  at += strlen("'shape': (");
  images->rank = 0;
  while (*at != ')') {
    char* end = NULL;
    errno = 0;
    const long long dim = strtoll(at, &end, 10);
    if (end == at || errno != 0 || dim < 0 || images->rank == NPY_MAX_RANK) return false;
    images->dims[images->rank++] = dim;
    at = end;
    while (*at == ',' || *at == ' ') ++at;
  }
  return true;
}

/* Bytes of the header, which ends where the elements begin; 0 where this is no .npy file. */
static size_t header_length(FILE* file) {
  unsigned char start[12];
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0) return 0;
  if (start[6] == 1) return (size_t)start[8] | (size_t)start[9] << 8;
  if (start[6] > 3 || fread(start + 10, 1, 2, file) != 2) return 0;
  return (size_t)start[8] | (size_t)start[9] << 8 | (size_t)start[10] << 16 | (size_t)start[11] << 24;
}

static bool read_header(FILE* file, const char* path, Images* images, Error* error) {
  const size_t length = header_length(file);
  char* header = length == 0 || length > LONGEST_HEADER ? NULL : malloc(length + 1);
  bool good = false;
  if (header != NULL && fread(header, 1, length, file) == length) {
    header[length] = '\0';
    good = read_shape(header, images);
    if (good && (strstr(header, "'<f4'") == NULL || strstr(header, "'fortran_order': False") == NULL)) {
      free(header);
      return fail(error, "%s: must be float32 in C order, such as of np.save(path, images.astype(np.float32))", path);
    }
  }
  free(header);
  return good || fail(error, "%s: is no .npy file", path);
}

static bool read_elements(FILE* file, const char* path, Images* images, Error* error) {
  const long start = ftell(file);
  if (start < 0 || fseek(file, 0, SEEK_END) != 0) return fail(error, "%s: cannot be read", path);
  const long end = ftell(file);
  if (end < start || fseek(file, start, SEEK_SET) != 0) return fail(error, "%s: cannot be read", path);
  const size_t present = (size_t)(end - start) / sizeof(float);
  images->size = 1;
  for (size_t axis = 0; axis < images->rank; ++axis) {
    const size_t dim = (size_t)images->dims[axis];
    if (dim != 0 && images->size > present / dim) return fail(error, "%s: is shorter than its header says", path);
    images->size *= dim;
  }
  if (images->size == 0) return fail(error, "%s: has no images", path);
  images->data = malloc(images->size * sizeof(float));
  if (images->data == NULL) return fail(error, "%s: not enough memory", path);
  if (fread(images->data, sizeof(float), images->size, file) != images->size) {
    return fail(error, "%s: cannot be read", path);
  }
  for (size_t i = 0; i < images->size; ++i) {
    if (!isfinite(images->data[i])) return fail(error, "%s: has NaN or infinite values", path);
  }
  return true;
}

bool images_read(const char* path, Images* images, Error* error) {
  memset(images, 0, sizeof *images);
  FILE* file = fopen(path, "rb");
  if (file == NULL) return fail(error, "%s: %s", path, strerror(errno));
  const bool good = read_header(file, path, images, error) && read_elements(file, path, images, error);
  fclose(file);
  if (!good) images_free(images);
  return good;
}

void images_free(Images* images) {
  free(images->data);
  images->data = NULL;
}
