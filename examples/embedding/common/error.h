/* What went wrong, for the user. */
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Error {
  char text[1024];
} Error;

/* Writes the message, cut where it is too long, and returns false: `return fail(error, ...)`. */
#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
bool fail(Error* error, const char* format, ...);

#ifdef __cplusplus
}
#endif
