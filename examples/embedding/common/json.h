/* JSON as the metadata of converted networks have it (docs/format.md), as a tree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum JsonKind { JSON_OTHER, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT } JsonKind;

typedef struct Json {
  JsonKind kind;   /* true, false and null are JSON_OTHER */
  char* key;       /* of a member of an object, UTF-8 */
  char* text;      /* of a string, UTF-8 */
  int64_t integer; /* of a number that is one */
  bool whole;      /* whether a number is an integer of 64 bits */
  struct Json* items;
  size_t count;
} Json;

/* The value that the text is, to be freed with json_free; false where it is no JSON, or memory is short. */
bool json_read(const char* text, Json* value);

void json_free(Json* value);

/* The member of an object; NULL where it has none of that name, or is no object. */
const Json* json_member(const Json* object, const char* key);
