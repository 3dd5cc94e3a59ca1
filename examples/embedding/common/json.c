#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

static bool read_value(const char** at, Json* value, int depth);

static void skip_spaces(const char** at) { *at += strspn(*at, " \t\r\n"); }

static bool read_hex(const char** at, uint32_t* code) {
  *code = 0;
  for (int digit = 0; digit < 4; ++digit) {
    static const char digits[] = "0123456789abcdef";
    const char letter = (char)(**at >= 'A' && **at <= 'F' ? **at + ('a' - 'A') : **at);
    const char* found = letter == '\0' ? NULL : strchr(digits, letter);
    if (found == NULL) return false;
    *code = *code * 16 + (uint32_t)(found - digits);
    ++*at;
  }
  return true;
}

static char* write_utf8(char* out, uint32_t code) {
  if (code < 0x80) {
    *out++ = (char)code;
    return out;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
  *out++ = (char)(first[more] | code >> (6 * more));
  for (int rest = more - 1; rest >= 0; --rest) *out++ = (char)(0x80 | (code >> (6 * rest) & 0x3F));
  return out;
}

/* Behind a backslash. */
static bool read_escape(const char** at, char** out) {
  static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  if (**at != 'u') {
    const char* found = **at == '\0' ? NULL : strchr(letters, **at);
    if (found == NULL) return false;
    *(*out)++ = meant[found - letters];
    ++*at;
    return true;
  }
  uint32_t code, low;
  ++*at;
  if (!read_hex(at, &code)) return false;
  if (code >= 0xD800 && code < 0xDC00) { /* the first of two halves */
    if (strncmp(*at, "\\u", 2) != 0) return false;
    *at += 2;
    if (!read_hex(at, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  *out = write_utf8(*out, code);
  return true;
}

static bool read_string(const char** at, char** text) {
  if (*(*at)++ != '"') return false;
  char* out = *text = malloc(strlen(*at) + 1); /* an escape is never shorter than what it stands for */
  if (out == NULL) return false;
  while (**at != '"') {
    if (**at == '\0') return false;
    if (**at != '\\') {
      *out++ = *(*at)++;
      continue;
    }
    ++*at;
    if (!read_escape(at, &out)) return false;
  }
  ++*at;
  *out++ = '\0';
  char* fitting = realloc(*text, (size_t)(out - *text));
  if (fitting != NULL) *text = fitting;
  return true;
}

static bool read_number(const char** at, Json* value) {
  const size_t length = strspn(*at, "+-.eE0123456789");
  char* end = NULL;
  errno = 0;
  value->kind = JSON_NUMBER;
  value->integer = strtoll(*at, &end, 10);
  value->whole = length > 0 && end == *at + length && errno == 0;
  *at += length;
  return length > 0;
}

/* What stands between brackets; `keys` says whether each item has a name. */
static bool read_items(const char** at, Json* value, char close, bool keys, int depth) {
  size_t room = 0;
  ++*at;
  skip_spaces(at);
  if (**at == close) {
    ++*at;
    return true;
  }
  for (;;) {
    if (value->count == room) {
      room = room == 0 ? 8 : 2 * room;
      Json* items = realloc(value->items, room * sizeof *items);
      if (items == NULL) return false;
      value->items = items;
    }
    Json* item = &value->items[value->count++];
    memset(item, 0, sizeof *item);
    if (keys) {
      skip_spaces(at);
      if (!read_string(at, &item->key)) return false;
      skip_spaces(at);
      if (*(*at)++ != ':') return false;
    }
    if (!read_value(at, item, depth + 1)) return false;
    skip_spaces(at);
    const char next = **at;
    if (next != ',' && next != close) return false;
    ++*at;
    if (next == close) return true;
  }
}

static bool read_value(const char** at, Json* value, int depth) {
  static const char* const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
  if (depth > DEEPEST) return false;
  skip_spaces(at);
  for (size_t word = 0; word < sizeof words / sizeof *words; ++word) {
    if (strncmp(*at, words[word], strlen(words[word])) == 0) {
      *at += strlen(words[word]);
      return true;
    }
  }
  switch (**at) {
    case '"': value->kind = JSON_STRING; return read_string(at, &value->text);
    case '[': value->kind = JSON_LIST; return read_items(at, value, ']', false, depth);
    case '{': value->kind = JSON_OBJECT; return read_items(at, value, '}', true, depth);
    default: return read_number(at, value);
  }
}

bool json_read(const char* text, Json* value) {
  memset(value, 0, sizeof *value);
  if (read_value(&text, value, 0)) {
    skip_spaces(&text);
    if (*text == '\0') return true;
  }
  json_free(value);
  return false;
}

void json_free(Json* value) {
  for (size_t i = 0; i < value->count; ++i) json_free(&value->items[i]);
  free(value->items);
  free(value->key);
  free(value->text);
  memset(value, 0, sizeof *value);
}

const Json* json_member(const Json* object, const char* key) {
  for (size_t i = 0; object != NULL && i < object->count; ++i) {
    if (object->items[i].key != NULL && strcmp(object->items[i].key, key) == 0) return &object->items[i];
  }
  return NULL;
}
