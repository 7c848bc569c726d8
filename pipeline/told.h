/* What a page tells of itself beside its text: title, descriptions, the texts in JSON-LD. They are kept as hashes of words,
   to find the blocks that say the same. */

#include "html.h"

/* What is known of a code point: the bits below, and in the upper three bytes its small letter. None: white space. */
enum { C_LETTER = 1, C_DIGIT = 2, C_SIGN = 4, C_COMMA = 8, C_END = 16, C_UPPER = 32, C_UNSPACED = 64, C_INSIDE = 128 };

/* --- what grows ------------------------------------------------------------------------------------------------------ */

typedef struct {
    char *data;
    size_t used, room;
} Bytes;

/* Room for so many more bytes; 0 if memory is out. */
static int reserve(Bytes *bytes, size_t more) {
    if (bytes->room - bytes->used >= more) return 1;
    size_t room = (bytes->used + more) * 2;
    char *data = realloc(bytes->data, room);
    if (!data) return 0;
    bytes->data = data;
    bytes->room = room;
    return 1;
}

static int append(Bytes *bytes, const void *data, size_t size) {
    if (!size) return 1;
    if (!reserve(bytes, size)) return 0;
    memcpy(bytes->data + bytes->used, data, size);
    bytes->used += size;
    return 1;
}

/* --- words ----------------------------------------------------------------------------------------------------------- */

/* Hashes of words, uint32: FNV-1a over small letters. A word is a run of letters, marks and digits, or one character of
   a script without spaces. */
typedef struct {
    Bytes hashes;
    int inside;
} Words;

enum { GAP = 0 };
/* The hash that stands between two texts. */

/* Take in one character; says whether a word begins with it, -1 if memory is out. */
static inline int add_character(Words *words, uint32_t character) {
    int begins = (character & C_INSIDE) && (!words->inside || (character & C_UNSPACED));
    words->inside = character & C_INSIDE;
    if (!words->inside) return 0;
    uint32_t basis = 2166136261u;
    if (begins && !append(&words->hashes, &basis, 4)) return -1;
    uint32_t *last = (uint32_t *)(words->hashes.data + words->hashes.used) - 1;
    *last = (*last ^ character >> 8) * 16777619u;
    return begins;
}

static int end_text(Words *words) {
    uint32_t gap = GAP;
    words->inside = 0;
    return append(&words->hashes, &gap, 4);
}

/* Take in a text with character references. */
static int add_text(Words *words, const uint32_t *characters, const References *references, const char *at, const char *stop) {
    while (at < stop) {
        char value[8];
        int size;
        uint32_t point;
        Py_ssize_t taken = *at == '&' ? read_reference(references, at, stop, value, &size) : 0;
        if (taken)
            decode(value, value + size, &point);
        else
            taken = decode(at, stop, &point);
        if (add_character(words, characters[point]) < 0) return 0;
        at += taken;
    }
    return end_text(words);
}

/* --- JSON-LD --------------------------------------------------------------------------------------------------------- */

/* The end of a JSON string whose quote lies behind: its closing quote, or stop. */
static const char *end_of_string(const char *at, const char *stop) {
    while (at < stop && *at != '"') at += at[0] == '\\' && at + 1 < stop ? 2 : 1;
    return at < stop ? at : stop;
}

static int read_hexadecimal(const char *at, const char *stop, uint32_t *point) {
    *point = 0;
    if (stop - at < 4) return 0;
    for (int k = 0; k < 4; k++) {
        char c = lower(at[k]);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return 0;
        *point = *point << 4 | (uint32_t)digit;
    }
    return 4;
}

/* Take in a JSON string, its escapes resolved and tags in it left out; halves of surrogate pairs make no word. */
static int add_string(Words *words, const uint32_t *characters, const char *at, const char *stop) {
    int in_tag = 0;
    while (at < stop) {
        uint32_t point;
        if (*at == '\\' && stop - at > 1) {
            int taken = at[1] == 'u' ? read_hexadecimal(at + 2, stop, &point) : 0;
            if (!taken) point = at[1] == 'n' || at[1] == 't' || at[1] == 'r' ? ' ' : (uint8_t)at[1] & 127u;
            at += 2 + taken;
        } else {
            at += decode(at, stop, &point);
        }
        if (point == '<') in_tag = 1;
        if (add_character(words, characters[in_tag ? ' ' : point]) < 0) return 0;
        if (point == '>') in_tag = 0;
    }
    return end_text(words);
}

/* Take in the strings of JSON-LD that hold text: those under the names below. */
static int add_json(Words *words, const uint32_t *characters, const char *at, const char *stop) {
    static const char *const KEYS[] = {"articlebody", "text", "reviewbody", "description"};
    while ((at = memchr(at, '"', (size_t)(stop - at)))) {
        const char *key = at + 1, *end = end_of_string(key, stop);
        if (end == stop) return 1;
        at = end + 1;
        const char *next = at;
        while (next < stop && is_space(*next)) next++;
        if (next == stop || *next != ':') continue;
        for (next++; next < stop && is_space(*next);) next++;
        if (next == stop || *next != '"') continue;
        const char *value = next + 1, *behind = end_of_string(value, stop);
        for (int k = 0; k < 4; k++)
            if (is(key, end - key, KEYS[k]) && !add_string(words, characters, value, behind)) return 0;
        if (behind == stop) return 1;
        at = behind + 1;
    }
    return 1;
}
